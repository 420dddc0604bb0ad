import { z } from 'zod';
import { slug, type Toolbox } from './toolbox.ts';

/** apphub: apps, and tools of which some need more or less by their `action`. What a key may do with an app, its places say. */

interface App {
  /** What was deployed, newest last. */
  versions: string[];
  env: Record<string, string>;
  tables: Map<string, string[]>;
  spec: string;
  repository: string | undefined;
  isArchived: boolean;
  hasCi: boolean;
}

/** @param issuer where people make keys and register apps */
export function addApphub({ tool, workspaces, get, assertFree, allowed }: Toolbox, issuer: string): void {
  const appOf = (workspace: string, app: string) => get(workspace, app, 'app').content as App;
  const url = (app: string) => `https://${app}.apps.example`;
  const text = z.string().min(1).max(10_000);
  const where = slug.optional().describe('The project or folder that a new app is in');

  /** A tool about one app that is there. */
  function appTool<Shape extends z.ZodRawShape>(
    name: string,
    description: string,
    shape: Shape,
    act: (app: App, args: z.output<z.ZodObject<Shape>> & { app: string }, workspace: string) => unknown,
  ): void {
    tool(name, description, { app: slug, ...shape }, (args, { workspace }) => {
      const named = args as unknown as z.output<z.ZodObject<Shape>> & { app: string };
      return act(appOf(workspace, named.app), named, workspace);
    });
  }

  async function deploy(workspace: string, app: string, version: string, parent?: string): Promise<object> {
    if (workspaces.find(workspace, app) === undefined) {
      if (parent !== undefined) get(workspace, parent, 'project', 'folder');
      assertFree(workspace, app);
      const content: App = {
        versions: [],
        env: {},
        tables: new Map(),
        spec: '',
        repository: undefined,
        isArchived: false,
        hasCi: true,
      };
      await workspaces.put(workspace, { id: app, kind: 'app', name: app, parent, content });
    }
    const { versions } = appOf(workspace, app);
    versions.push(version);
    return { deployed: app, version: versions.length };
  }

  tool('list_my_apps', 'Lists the apps that you may look at.', {}, async (_, call) =>
    (await allowed(call, 'get_app_url', 'app')).filter(({ kind }) => kind === 'app').map(({ id }) => id),
  );
  appTool('get_app_url', 'Says where an app runs.', {}, (_, { app }) => ({ url: url(app) }));
  tool('list_apis', 'Lists the APIs of the apps that you may look at.', {}, async (_, call) =>
    (await allowed(call, 'get_api_schema', 'app'))
      .filter(({ kind }) => kind === 'app')
      .map(({ id }) => `${url(id)}/api`),
  );
  appTool('get_api_schema', 'Shows what the API of an app takes.', {}, ({ tables }) => [...tables.keys()]);
  appTool('test_api', 'Tries whether the API of an app answers.', {}, ({ isArchived }) => ({
    ok: !isArchived,
  }));
  tool(
    'discover_apis',
    'Searches the APIs of the apps that you may look at.',
    { query: text },
    async ({ query }, call) =>
      (await allowed(call, 'get_api_schema', 'app'))
        .filter(({ id, kind }) => kind === 'app' && id.includes(query))
        .map(({ id }) => `${url(id)}/api`),
  );
  appTool(
    'search_table',
    'Searches a table of an app.',
    { table: slug, query: text },
    ({ tables }, { table, query }) => (tables.get(table) ?? []).filter((row) => row.includes(query)),
  );
  appTool('preflight_check', 'Says whether an app can be deployed.', {}, ({ isArchived }) => ({
    ready: !isArchived,
  }));

  tool(
    'deploy_app',
    'Deploys a version of an app; a new app is created.',
    { app: slug, version: text.default('first'), in: where },
    ({ app, version, in: parent }, { workspace }) => deploy(workspace, app, version, parent),
  );
  appTool('rollback_deploy', 'Takes the last deployment back.', {}, ({ versions }) => {
    if (versions.length < 2) throw new Error('There is no version before this one.');
    versions.pop();
    return { version: versions.length };
  });
  appTool('restart_app', 'Restarts an app.', {}, (_, { app }) => ({ restarted: app }));
  appTool(
    'env_vars',
    'Sets a variable of an app.',
    { name: text, value: text },
    ({ env }, { name, value }) => {
      env[name] = value;
      return Object.keys(env);
    },
  );

  appTool(
    'records',
    'Reads and changes the records of an app.',
    {
      action: z.enum(['query', 'insert', 'update', 'delete', 'bulk_insert']),
      table: slug.default('main'),
      record: z.int().nonnegative().default(0),
      value: z.string().max(10_000).default(''),
      values: z.array(z.string().max(10_000)).max(100).default([]),
    },
    ({ tables }, { action, table, record, value, values }) => {
      const rows = tables.get(table) ?? [];
      tables.set(table, rows);
      if (action === 'insert') rows.push(value);
      else if (action === 'bulk_insert') rows.push(...values);
      else if (action === 'update' && record < rows.length) rows[record] = value;
      else if (action === 'delete') rows.splice(record, 1);
      return rows;
    },
  );
  appTool(
    'manage_table',
    'Lists, describes, creates and drops tables.',
    { action: z.enum(['list', 'describe', 'create', 'drop']), table: slug.default('main') },
    ({ tables }, { action, table }) => {
      if (action === 'create') tables.set(table, tables.get(table) ?? []);
      if (action === 'drop') tables.delete(table);
      return action === 'describe' ? { table, rows: tables.get(table)?.length ?? 0 } : [...tables.keys()];
    },
  );
  appTool(
    'manage_ci',
    'Lists and repeats runs, and turns them on and off.',
    { action: z.enum(['list', 'rerun', 'enable', 'disable']) },
    (app, { action }) => {
      if (action === 'enable' || action === 'disable') app.hasCi = action === 'enable';
      return { enabled: app.hasCi, runs: app.versions.length };
    },
  );
  appTool(
    'manage_app',
    'Updates, archives, unarchives and deletes an app.',
    {
      action: z.enum(['update', 'archive', 'unarchive', 'delete']),
      spec: z.string().max(10_000).default(''),
    },
    async (content, { app, action, spec }, workspace) => {
      if (action === 'delete') await workspaces.remove(workspace, app);
      else if (action === 'update') content.spec = spec;
      else content.isArchived = action === 'archive';
      return action === 'delete' ? { deleted: true } : { archived: content.isArchived };
    },
  );

  tool(
    'import_and_deploy',
    'Imports an app and deploys it.',
    { app: slug, source: text, in: where },
    ({ app, source, in: parent }, { workspace }) => deploy(workspace, app, source, parent),
  );
  appTool('set_app_spec', 'Sets what an app is made of.', { spec: text }, (app, { spec }) => {
    app.spec = spec;
    return { spec };
  });
  appTool(
    'connect_repo',
    'Connects an app with a repository, or disconnects it.',
    { action: z.enum(['connect', 'disconnect']).default('connect'), repository: text.optional() },
    (app, { action, repository }) => {
      app.repository = action === 'connect' ? repository : undefined;
      return { repository: app.repository ?? null };
    },
  );

  // No credential makes another one: people do.
  const onPages = (path: string) => () => ({ open: `${issuer}${path}` });
  tool(
    'manage_oauth_client',
    'Says where people register OAuth clients.',
    { app: slug },
    onPages('/apps/clients'),
  );
  tool('manage_api_key', 'Says where people make and end keys.', { app: slug }, onPages('/keys'));
}
