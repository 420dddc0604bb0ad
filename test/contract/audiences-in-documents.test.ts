import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { createDocuments } from '../../src/http/discovery/documents.ts';
import { until } from '../helpers/api.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** One list of audiences, from the configuration and the command line, in all documents without a restart. */

const METADATA = '/.well-known/oauth-protected-resource';
const SERVER = '/.well-known/oauth-authorization-server';

onEveryEngine('audiences in documents', (engine, test) => {
  let on: TestService;
  let folder: string;
  test.before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-cli-'));
    on = await startTestService(engine);
  });
  test.after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  /** Another process, as an operator runs it beside the service. */
  async function run(t: ExecutionContext, ...args: string[]) {
    const env = { DATABASE_URL: on.database.url, PUBLIC_URL: on.url };
    const ended = await vouchsafe(['--json', ...args], folder, env);
    t.is(ended.code, 0, ended.stderr);
    return JSON.parse(ended.stdout);
  }

  const add = async (t: ExecutionContext, url: string, ...more: string[]): Promise<string> =>
    (await run(t, 'resource', 'add', url, '--name', 'Notes API', ...more)).client_id;

  /** Waits until the metadata lists a URL, or no longer does. */
  const untilListed = (url: string, isListed: boolean) =>
    until(async () => (await on.get(SERVER)).body.protected_resources.includes(url) === isListed);

  test('one that is added while the service runs is in every document within a second, and gone from all when it is removed', async (t) => {
    const url = 'https://notes.example.com/v1/mcp';
    const holders = [SERVER, '/auth.md', '/llms.txt', '/openapi.json'];
    const naming = async () => {
      const texts = await Promise.all(holders.map(async (path) => (await on.get(path)).text));
      return holders.filter((_, index) => texts[index]!.includes(url));
    };
    t.deepEqual(await naming(), []);
    t.is((await on.get(`${METADATA}/v1/mcp`)).status, 404);

    const id = await add(t, url, '--scopes', 'read');
    const addedAt = performance.now();
    await untilListed(url, true);
    t.true(performance.now() - addedAt < 2000, 'within a second, and some for a busy machine');
    t.deepEqual(await naming(), holders);
    const { status, body, headers } = await on.get(`${METADATA}/v1/mcp`);
    t.deepEqual([status, headers.get('access-control-allow-origin')], [200, '*']);
    t.deepEqual(body, {
      resource: url,
      resource_name: 'Notes API',
      authorization_servers: [on.url],
      scopes_supported: ['read'],
      bearer_methods_supported: ['header'],
    });
    t.is((await on.post(`${METADATA}/v1/mcp`, {})).status, 405);
    t.is((await on.post(`${METADATA}/v1/other`, {})).status, 404);
    t.is((await on.request('OPTIONS', `${METADATA}/v1/mcp`)).status, 204);
    t.is((await on.request('OPTIONS', `${METADATA}/v1/other`)).status, 404);
    const { body: server } = await on.get(SERVER);
    t.is(server.resource, on.url, 'the default one stays the default');
    t.true((await on.get('/auth.md')).text.includes(`- ${url} (Notes API): \`read\`\n`));

    await run(t, 'resource', 'remove', id);
    await untilListed(url, false);
    t.deepEqual(await naming(), []);
    t.is((await on.get(`${METADATA}/v1/mcp`)).status, 404);
  });

  test('one on our own origin is found by clients that take its path for that of the issuer', async (t) => {
    const url = `${on.url}/tools/mcp`;
    const id = await add(t, url);
    await untilListed(url, true);
    const { text } = await on.get(SERVER);
    for (const path of [`${SERVER}/tools/mcp`, `/tools/mcp${SERVER}`]) {
      t.deepEqual([(await on.get(path)).status, (await on.get(path)).text], [200, text], path);
    }
    for (const path of [`${SERVER}/tools`, `/tools${SERVER}`, `${SERVER}/tools/mcp/`]) {
      t.is((await on.get(path)).status, 404, path);
    }
    await run(t, 'resource', 'remove', id);
    await untilListed(url, false);
    t.is((await on.get(`${SERVER}/tools/mcp`)).status, 404);
  });

  test('one that is configured and added, or added twice, is in the list once', async (t) => {
    const before = (await on.get(SERVER)).body.protected_resources;
    t.deepEqual(before, [on.url]);
    await add(t, on.url);
    const url = 'https://twice.example.com';
    await add(t, url);
    await untilListed(url, true);
    t.deepEqual((await on.get(SERVER)).body.protected_resources, [on.url, url]);
    const { text } = await on.get('/auth.md');
    t.is(text.split(`- ${url} (`).length, 2);
  });

  test('a token can be asked for an added one by the URL that the documents name', async (t) => {
    const url = 'https://files.example.com/mcp';
    await add(t, url);
    await untilListed(url, true);
    const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const { status, text } = await on.form('/oauth2/token', { grant_type: grant, assertion, resource: url });
    t.is(status, 200, text);
  });

  test('while the database is away, the documents say what was last known', async (t) => {
    const { deps } = on.service;
    const refused = async () => {
      throw new Error('the database is away');
    };
    const warned: unknown[] = [];
    const documentAt = createDocuments(
      {
        ...deps,
        db: { ...deps.db, all: refused },
        log: Object.assign(Object.create(deps.log), { warn: (...line: unknown[]) => warned.push(line) }),
      },
      [],
    );
    t.truthy((await documentAt('/auth.md'))?.text.includes(`- ${on.url} (Vouchsafe): `));
    t.is(warned.length, 1, 'and it is in the log');
  });
});
