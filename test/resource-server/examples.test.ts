import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Api, addApi } from '../helpers/api.ts';
import { freePort } from '../helpers/free-port.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLES = globSync('examples/resource-servers/*.ts', { cwd: ROOT });
const document = readFileSync(new URL('../../docs/resource-servers.md', import.meta.url), 'utf8');

test.describe('the examples of docs/resource-servers.md', (test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService('sqlite');
    api = await addApi(on);
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
          RESOURCE: api.resource,
          CLIENT_ID: api.clientId,
          CLIENT_SECRET: api.clientSecret,
          PORT: port,
        },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      t.teardown(async () => {
        server.kill();
        await once(server, 'exit');
      });
      const ask = (path: string, key?: string) =>
        fetch(`http://localhost:${port}${path}`, {
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
      await on.form('/oauth2/revoke', { token: credential });
      while ((await ask('/', credential)).status === 200);
    });
  }
});
