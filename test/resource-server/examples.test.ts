import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { bearer, newMailbox } from '../helpers/common.ts';
import { freePort } from '../helpers/free-port.ts';
import { connectSdk, startExample } from '../helpers/seed-world.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { openPlaces, type TreeApi } from '../helpers/workspaces.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLES = globSync('examples/resource-servers/*.ts', { cwd: ROOT });
const document = readFileSync(new URL('../../docs/resource-servers.md', import.meta.url), 'utf8');

test.describe('the examples of docs/resource-servers.md', (test) => {
  let on: TestService;
  let api: TreeApi;
  const places = openPlaces(() => on);
  test.before(async () => {
    on = await startTestService('sqlite');
    api = await places.server('https://api.example.com');
  });
  test.after(() => on.stop());

  /** Starts one of them. @returns how it is asked */
  async function start(t: ExecutionContext, file: string) {
    const port = String(await freePort());
    const server = spawn(process.execPath, ['--conditions=vouchsafe-source', file], {
      cwd: ROOT,
      env: {
        ...process.env,
        ISSUER: on.url,
        RESOURCE: api.url,
        CLIENT_ID: api.id,
        CLIENT_SECRET: api.secret,
        PORT: port,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.teardown(async () => {
      server.kill();
      await once(server, 'exit');
    });
    const ask = (path: string, key?: string, method = 'GET') =>
      fetch(`http://localhost:${port}${path}`, {
        method,
        headers: { Connection: 'close', ...(key && bearer(key)) },
      });
    while (!(await ask('/').catch(() => false))) await new Promise((resolve) => setImmediate(resolve));
    return ask;
  }

  for (const file of EXAMPLES) {
    test(`${basename(file)} is the one that is shown, and protects its route`, async (t) => {
      const code = readFileSync(`${ROOT}/${file}`, 'utf8');
      t.true(document.includes(`\`\`\`ts\n${code}\`\`\``), `docs/resource-servers.md shows another ${file}`);
      const ask = await start(t, file);
      const { credential, user_id } = await on.register();
      const passed = await ask('/', credential);
      t.is(passed.status, 200);
      t.deepEqual(await passed.json(), { subject: user_id });
      const refused = await ask('/');
      t.is(refused.status, 401);
      t.regex(refused.headers.get('www-authenticate') ?? '', /resource_metadata=/);
      t.is((await ask('/.well-known/oauth-protected-resource')).status, 200);
      await on.form('/oauth2/revoke', { token: credential });
      while ((await ask('/', credential)).status === 200);
    });

    test(`${basename(file)} has things by path, each for the keys that hold there`, async (t) => {
      const ask = await start(t, file);
      const anonymous = await on.register();
      const own = await on.claimed(newMailbox());
      const ann = await places.person();
      const wsp = await places.workspace([ann, 'owner']);
      const { credential: bot } = await places.key(ann, [
        { workspaceId: wsp, path: 'drafts/', actions: ['read', 'write'] },
        { workspaceId: wsp, path: 'specs/api', actions: ['read'] },
      ]);
      const status = async (method: string, path: string, key: string) =>
        (await ask(`/v1/${path}`, key, method)).status;
      t.is(await status('POST', `${wsp}/drafts/a`, bot), 200);
      t.deepEqual(await (await ask(`/v1/${wsp}/drafts/a`, bot)).json(), { by: ann });
      t.is(await status('GET', `${wsp}/drafts/nothing`, bot), 404);
      t.is(await status('GET', `${wsp}/specs/api`, bot), 404);
      t.is(await status('POST', `${own.user_id}/drafts/a`, own.credential), 200);
      for (const [method, path, key] of [
        ['POST', `${wsp}/specs/api`, bot],
        ['GET', `${wsp}/specs/api/more`, bot],
        ['GET', `${wsp}/drafts`, bot],
        ['GET', `${wsp}/drafts/../specs`, bot],
        ['GET', `${ann}/drafts/a`, bot],
        ['GET', `${own.user_id}/drafts/a`, bot],
        ['GET', `${wsp}/drafts/a`, own.credential],
        ['GET', `${wsp}/drafts/a?x`, own.credential],
        ['GET', `${wsp}//drafts/a`, own.credential],
        ['POST', `${anonymous.user_id}/drafts/a`, anonymous.credential],
      ] as const) {
        t.true([403, 404].includes(await status(method, path, key)), `${method} ${path}`);
      }
    });
  }

  test('one key works at an API by paths, and at the MCP server by its tree', async (t) => {
    const ask = await start(t, 'examples/resource-servers/koa.ts');
    const mcp = await startExample(on);
    t.teardown(() => mcp.stop());
    const agent = await on.claimed(newMailbox());
    const ann = await places.person();
    const wsp = await places.workspace([ann, 'owner']);
    const { credential: placed } = await places.key(ann, [{ workspaceId: wsp, actions: ['read', 'write'] }]);
    for (const [credential, owner] of [
      [agent.credential, agent.user_id],
      [placed, wsp],
    ] as const) {
      t.regex(credential, /^sk_/);
      t.is((await ask(`/v1/${owner}/inbox/mail`, credential, 'POST')).status, 200);
      const client = await connectSdk(mcp.url, credential);
      t.is(await client.outcome('deploy_app', { app: 'shop' }), 'ok');
      t.deepEqual(await client.call('list_my_apps'), ['shop']);
      await client.close();
    }
    t.is((await ask(`/v1/${wsp}/inbox/mail`, agent.credential)).status, 403);
  });
});
