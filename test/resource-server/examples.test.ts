import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../helpers/free-port.ts';
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

  for (const file of EXAMPLES) {
    test(`${basename(file)} is the one that is shown, and protects its route`, async (t) => {
      const code = readFileSync(`${ROOT}/${file}`, 'utf8');
      t.true(document.includes(`\`\`\`ts\n${code}\`\`\``), `docs/resource-servers.md shows another ${file}`);
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
          headers: { Connection: 'close', ...(key && { Authorization: `Bearer ${key}` }) },
        });
      while (!(await ask('/').catch(() => false))) await new Promise((resolve) => setImmediate(resolve));

      const { credential, user_id } = await on.register();
      const passed = await ask('/', credential);
      t.is(passed.status, 200);
      t.deepEqual(await passed.json(), { subject: user_id });
      const refused = await ask('/');
      t.is(refused.status, 401);
      t.regex(refused.headers.get('www-authenticate') ?? '', /resource_metadata=/);
      t.is((await ask('/.well-known/oauth-protected-resource')).status, 200);

      const ann = await places.person();
      const wsp = await places.workspace([ann, 'owner']);
      const bot = await places.key(ann, [
        { workspaceId: wsp, path: 'drafts/', actions: ['read', 'write'] },
        { workspaceId: wsp, path: 'specs/api', actions: ['read'] },
      ]);
      const own = (await on.claimed(`${basename(file)}@example.com`)).credential;
      const status = async (method: string, path: string, key: string) =>
        (await ask(`/v1/${path}`, key, method)).status;
      t.is(await status('POST', `${wsp}/drafts/a`, bot.credential), 200);
      t.deepEqual(await (await ask(`/v1/${wsp}/drafts/a`, bot.credential)).json(), { by: ann });
      t.is(await status('GET', `${wsp}/drafts/nothing`, bot.credential), 404);
      t.is(await status('GET', `${wsp}/specs/api`, bot.credential), 404);
      for (const [method, path, key] of [
        ['POST', `${wsp}/specs/api`, bot.credential],
        ['GET', `${wsp}/specs/api/more`, bot.credential],
        ['GET', `${wsp}/drafts`, bot.credential],
        ['GET', `${wsp}/drafts/../specs`, bot.credential],
        ['GET', `${wsp}/drafts/%2e%2e/specs`, bot.credential],
        ['GET', `${ann}/drafts/a`, bot.credential],
        ['GET', `${wsp}/drafts/a`, own],
        ['GET', `${wsp}/drafts/a?x`, own],
        ['GET', `${wsp}//drafts/a`, own],
        ['POST', `${user_id}/drafts/a`, credential],
      ] as const) {
        t.true([403, 404].includes(await status(method, path, key)), `${method} ${path}`);
      }
      await on.form('/oauth2/revoke', { token: credential });
      while ((await ask('/', credential)).status === 200);
    });
  }
});
