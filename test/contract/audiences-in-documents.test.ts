import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createDocuments } from '../../src/http/discovery/documents.ts';
import { until } from '../helpers/api.ts';
import { vouchsafe } from '../helpers/cli.ts';
import { onEveryEngine, startTestService, type TestService } from '../helpers/service.ts';

/** One list of audiences, from the configuration and the command line, in all documents without a restart. */

const METADATA = '/.well-known/oauth-protected-resource';
const SERVER = '/.well-known/oauth-authorization-server';

onEveryEngine('audiences in documents', (engine) => {
  let on: TestService;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-cli-'));
    on = await startTestService(engine);
  });
  after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  /** Another process, as an operator runs it beside the service. */
  async function run(...args: string[]) {
    const env = { DATABASE_URL: on.database.url, PUBLIC_URL: on.url };
    const ended = await vouchsafe(['--json', ...args], folder, env);
    assert.equal(ended.code, 0, ended.stderr);
    return JSON.parse(ended.stdout);
  }

  const add = async (url: string, ...more: string[]): Promise<string> =>
    (await run('resource', 'add', url, '--name', 'Notes API', ...more)).client_id;

  /** Waits until the metadata lists a URL, or no longer does. */
  const untilListed = (url: string, isListed: boolean) =>
    until(async () => (await on.get(SERVER)).body.protected_resources.includes(url) === isListed);

  test('one that is added while the service runs is in every document within a second, and gone from all when it is removed', async () => {
    const url = 'https://notes.example.com/v1/mcp';
    const holders = [SERVER, '/auth.md', '/llms.txt', '/openapi.json'];
    const naming = async () => {
      const texts = await Promise.all(holders.map(async (path) => (await on.get(path)).text));
      return holders.filter((_, index) => texts[index]!.includes(url));
    };
    assert.deepEqual(await naming(), []);
    assert.equal((await on.get(`${METADATA}/v1/mcp`)).status, 404);

    const id = await add(url, '--scopes', 'read');
    const addedAt = performance.now();
    await untilListed(url, true);
    assert.ok(performance.now() - addedAt < 2000, 'within a second, and some for a busy machine');
    assert.deepEqual(await naming(), holders);
    const { status, body, headers } = await on.get(`${METADATA}/v1/mcp`);
    assert.deepEqual([status, headers.get('access-control-allow-origin')], [200, '*']);
    assert.deepEqual(body, {
      resource: url,
      resource_name: 'Notes API',
      authorization_servers: [on.url],
      scopes_supported: ['read'],
      bearer_methods_supported: ['header'],
    });
    assert.equal((await on.post(`${METADATA}/v1/mcp`, {})).status, 405);
    assert.equal((await on.post(`${METADATA}/v1/other`, {})).status, 404);
    assert.equal((await on.request('OPTIONS', `${METADATA}/v1/mcp`)).status, 204);
    assert.equal((await on.request('OPTIONS', `${METADATA}/v1/other`)).status, 404);
    const { body: server } = await on.get(SERVER);
    assert.equal(server.resource, on.url, 'the default one stays the default');
    assert.ok((await on.get('/auth.md')).text.includes(`- ${url} (Notes API): \`read\`\n`));

    await run('resource', 'remove', id);
    await untilListed(url, false);
    assert.deepEqual(await naming(), []);
    assert.equal((await on.get(`${METADATA}/v1/mcp`)).status, 404);
  });

  test('one on our own origin is found by clients that take its path for that of the issuer', async () => {
    const url = `${on.url}/tools/mcp`;
    const id = await add(url);
    await untilListed(url, true);
    const { text } = await on.get(SERVER);
    for (const path of [`${SERVER}/tools/mcp`, `/tools/mcp${SERVER}`]) {
      assert.deepEqual([(await on.get(path)).status, (await on.get(path)).text], [200, text], path);
    }
    for (const path of [`${SERVER}/tools`, `/tools${SERVER}`, `${SERVER}/tools/mcp/`]) {
      assert.equal((await on.get(path)).status, 404, path);
    }
    await run('resource', 'remove', id);
    await untilListed(url, false);
    assert.equal((await on.get(`${SERVER}/tools/mcp`)).status, 404);
  });

  test('one that is configured and added, or added twice, is in the list once', async () => {
    const before = (await on.get(SERVER)).body.protected_resources;
    assert.deepEqual(before, [on.url]);
    await add(on.url);
    const url = 'https://twice.example.com';
    await add(url);
    await untilListed(url, true);
    assert.deepEqual((await on.get(SERVER)).body.protected_resources, [on.url, url]);
    const { text } = await on.get('/auth.md');
    assert.equal(text.split(`- ${url} (`).length, 2);
  });

  test('a token can be asked for an added one by the URL that the documents name', async () => {
    const url = 'https://files.example.com/mcp';
    await add(url);
    await untilListed(url, true);
    const { identity_assertion: assertion } = (await on.post('/agent/identity', { type: 'anonymous' })).body;
    const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const { status, text } = await on.form('/oauth2/token', { grant_type: grant, assertion, resource: url });
    assert.equal(status, 200, text);
  });

  test('while the database is away, the documents say what was last known', async () => {
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
    assert.ok((await documentAt('/auth.md'))?.text.includes(`- ${on.url} (Vouchsafe): `));
    assert.equal(warned.length, 1, 'and it is in the log');
  });
});
