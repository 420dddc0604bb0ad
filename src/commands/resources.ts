import { type Command, Option } from 'commander';
import type { Deps } from '../deps.ts';
import * as resources from '../domain/audiences/resource-servers.ts';
import type { OperatorAct } from '../domain/audit/operator-acts.ts';
import { findResourceServers } from '../domain/operators/resource-servers.ts';
import { parseScope } from '../lib/scopes.ts';
import { DAY_MS } from '../lib/time.ts';
import { durationMs, reasonOption, type Shell } from './shell.ts';

/** Adds `resource …`: adds, lists and removes resource servers, which may introspect. */
export function addResourceCommands(program: Command, shell: Shell): void {
  const resource = program.command('resource').description('APIs and MCP servers that may introspect');
  resource
    .command('add <url>')
    .description('let a resource server introspect; shows its secret once')
    .requiredOption('--name <name>', 'what it is called')
    .option('--scopes <scopes>', 'the scopes it knows, separated by commas; default: all')
    .option(
      '--workspaces',
      'it understands workspaces: it is told of placed keys, and tells the nodes of its tree',
    )
    .option(
      '--no-all-workspaces',
      'it is told only of workspaces that it is connected to, or where it has a place',
    )
    .option('--rotate', 'where it is there already: give it a new secret, and end the old one')
    .addOption(reasonOption())
    .action((url: string, options: AddOptions) =>
      shell.withDatabase(async (deps) => {
        const { name, rotate = false, workspaces, allWorkspaces } = options;
        const scopes = options.scopes === undefined ? undefined : parseScope(options.scopes);
        const input = {
          url,
          name,
          scopes,
          understandsWorkspaces: workspaces === true,
          hasAllWorkspaces: allWorkspaces,
        };
        const { server, secret } = await resources.addResourceServerOnce(
          deps,
          shell.origin(),
          input,
          rotate,
          actOf(options.reason),
        );
        const lines =
          secret === undefined
            ? [
                `client_id      ${server.id}`,
                'It is there already, with the secret that it was given. --rotate gives it a new one.',
              ]
            : secretLines(server.id, secret);
        shell.say({ client_id: server.id, client_secret: secret, ...resourceJson(server) }, lines.join('\n'));
      }),
    );
  resource
    .command('list')
    .description('those in service')
    .action(() =>
      shell.withDatabase(async (deps) => {
        const servers = await findResourceServers(deps);
        const json = servers.map((server) => ({
          client_id: server.id,
          ...resourceJson(server),
          last_connected_at: isoOf(server.seenAt),
          last_followed_at: isoOf(server.followedAt),
          previous_secret_until: isoOf(server.previousSecretEndsAt),
        }));
        const lines = servers.map(
          ({ id, url, name, seenAt }) =>
            `${id}  ${url}  ${name}  (last connected: ${isoOf(seenAt) ?? 'never'})`,
        );
        shell.say({ resources: json }, lines.join('\n') || 'None yet.');
      }),
    );
  resource
    .command('change <client_id>')
    .description('say whether a resource server understands workspaces, and of which it is told')
    .addOption(new Option('--workspaces', 'it understands workspaces'))
    .addOption(new Option('--no-workspaces', 'it does not: placed keys are inactive there'))
    .addOption(new Option('--all-workspaces', 'it is told of all'))
    .addOption(
      new Option('--no-all-workspaces', 'only of those that it is connected to, or where it has a place'),
    )
    .addOption(reasonOption())
    .action((id: string, options: { workspaces?: boolean; allWorkspaces?: boolean; reason?: string }) =>
      shell.withDatabase(async (deps) => {
        if (!(await isInService(deps, id))) return shell.notFound('resource server');
        const { workspaces, allWorkspaces, reason } = options;
        const to = {
          ...(workspaces !== undefined && { understandsWorkspaces: workspaces }),
          ...(allWorkspaces !== undefined && { hasAllWorkspaces: allWorkspaces }),
        };
        const server = await resources.changeResourceServer(deps, shell.origin(), id, to, actOf(reason));
        shell.say(
          { client_id: server.id, ...resourceJson(server) },
          `${server.id} ${workspacesLine(server)}.`,
        );
      }),
    );
  resource
    .command('rotate-secret <client_id>')
    .description('give a resource server a new secret, shown once')
    .option(
      '--overlap <time>',
      'how long the old secret works on, such as 1h or 7d; 0: not at all',
      durationMs,
      DAY_MS,
    )
    .addOption(reasonOption())
    .action((id: string, options: { overlap: number; reason?: string }) =>
      shell.withDatabase(async (deps) => {
        if (!(await isInService(deps, id))) return shell.notFound('resource server');
        const { overlap } = options;
        const { server, secret } = await resources.rotateResourceServerSecret(
          deps,
          shell.origin(),
          id,
          overlap,
          actOf(options.reason),
        );
        const until = overlap === 0 ? undefined : isoOf(deps.clock() + overlap);
        shell.say(
          {
            client_id: server.id,
            client_secret: secret,
            ...resourceJson(server),
            previous_secret_until: until,
          },
          [
            ...secretLines(server.id, secret),
            until === undefined ? 'The old one has ended.' : `The old one works until ${until}.`,
          ].join('\n'),
        );
      }),
    );
  resource
    .command('remove <client_id>')
    .description('take a resource server out of service')
    .addOption(reasonOption())
    .action((id: string, options: { reason?: string }) =>
      shell.withDatabase(async (deps) => {
        if (!(await resources.removeResourceServer(deps, shell.origin(), id, actOf(options.reason)))) {
          return shell.notFound('resource server');
        }
        shell.say({ removed: id }, `${id} may not introspect any more.`);
      }),
    );
}

interface AddOptions {
  name: string;
  scopes?: string;
  workspaces?: boolean;
  allWorkspaces: boolean;
  rotate?: boolean;
  reason?: string;
}

function workspacesLine({ understandsWorkspaces, hasAllWorkspaces }: resources.ResourceServer): string {
  if (!understandsWorkspaces) return 'does not understand workspaces';
  return `understands workspaces, and is told of ${hasAllWorkspaces ? 'all' : 'those that it is connected to'}`;
}

function actOf(reason: string | undefined): OperatorAct {
  return { accountId: undefined, reason };
}

async function isInService(deps: Deps, id: string): Promise<boolean> {
  return (await resources.listResourceServers(deps)).some((server) => server.id === id);
}

function secretLines(id: string, secret: string): string[] {
  return [`client_id      ${id}`, `client_secret  ${secret}`, 'The secret is shown this once.'];
}

function isoOf(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString();
}

function resourceJson(server: resources.ResourceServer): object {
  return {
    url: server.url,
    name: server.name,
    scopes: server.scopes,
    workspaces: server.understandsWorkspaces,
    all_workspaces: server.hasAllWorkspaces,
  };
}
