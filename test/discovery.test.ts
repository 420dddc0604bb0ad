import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { createRoutes } from '../src/app.ts';
import { localAsker } from '../src/domain/events.ts';
import { addResourceServer } from '../src/domain/resource-servers.ts';
import { NATIVE } from '../src/http/dialects/native.ts';
import { PATHS } from '../src/http/discovery.ts';
import type { Route } from '../src/http/route.ts';
import { mismatches } from './helpers/schema.ts';
import { basic, type Reply, startTestService, type TestService } from './helpers/service.ts';
import { send } from './helpers/wire.ts';

type Schema = Record<string, unknown>;
interface Operation {
  operationId: string;
  requestBody: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content: Record<string, { schema: Schema }> }>;
}
interface OpenApi extends Schema {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

/** Rule 10: discovery says only what is served, and all of it is true. */

const run = promisify(execFile);
const METADATA = '/.well-known/oauth-protected-resource';

const RESOURCES = [
  {
    url: 'https://api.example.com/mcp',
    name: 'API',
    scopes: ['read'],
    documentation: 'https://docs.example.com/api',
  },
  { url: 'https://files.example.com/v1/files', name: 'Files' },
  { url: 'https://other.example.com/mcp', name: 'Other' }, // its document would be where the first one's is
];

describe('discovery', () => {
  let on: TestService;
  let open: Route[];
  let routes: Route[];
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
    const file = join(folder, 'config.json');
    writeFileSync(file, JSON.stringify({ service: { name: 'Acme' }, resources: RESOURCES }));
    on = await startTestService('sqlite', { env: { CONFIG: file } });
    routes = createRoutes(on.service.deps, undefined);
    open = routes.filter((row) => row.open);
  });
  after(async () => {
    await on.stop();
    rmSync(folder, { recursive: true });
  });

  const document = async (path: string) => {
    const reply = await on.get(path);
    assert.equal(reply.status, 200, path);
    return reply;
  };

  test('every URL in every document leads somewhere', async () => {
    const foreign = new Set(RESOURCES.flatMap(({ url, documentation = url }) => [url, documentation]));
    const followed = new Set<string>();
    // What stands for the page of the reader's own claim.
    const { verification_uri } = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
    // A picture's namespace is a name and no link.
    for (const { path } of open.filter((row) => row.path !== '/' && !row.path.endsWith('.svg'))) {
      const text = (await document(path)).text.replaceAll(`${on.url}/claim?t=...`, verification_uri);
      const urls = [...text.matchAll(/https?:\/\/[^\s"'`<>()[\]]+/g)].map(([url]) =>
        url.replace(/[.,;:]+$/, ''),
      );
      const paths = [...text.matchAll(/`(\/[\w/.-]+)`/g)].map(([, each]) => on.url + each);
      for (const url of [...urls, ...paths]) {
        if (foreign.has(url)) continue;
        assert.ok(url === on.url || url.startsWith(`${on.url}/`), `${path} names ${url}, which is not ours`);
        followed.add(url);
      }
    }
    for (const url of followed) {
      const path = url.slice(on.url.length) || '/';
      const { status } = await on.get(path);
      assert.ok([200, 303, 401, 405].includes(status), `${url} answers ${status}`);
    }
    // llms.txt is found by its name, as robots.txt is.
    for (const path of Object.values(PATHS).filter((each) => each !== PATHS.llmsTxt)) {
      assert.ok(
        [...followed].some((url) => url.startsWith(on.url + path)),
        `no document names ${path}`,
      );
    }
  });

  test('the endpoints of the metadata take the methods they are for', async () => {
    const { body } = await document(PATHS.authorizationServer);
    const endpoints = [
      body.introspection_endpoint,
      body.revocation_endpoint,
      body.agent_auth.register_uri,
      body.agent_auth.claim_uri,
    ];
    for (const url of endpoints) {
      const reply = await on.request('GET', url.slice(on.url.length));
      assert.deepEqual([reply.status, reply.headers.get('allow')], [405, 'POST'], url);
    }
    assert.equal((await document(body.agent_auth.skill.slice(on.url.length))).status, 200);
  });

  test('the front door leads to auth.md', async () => {
    const reply = await on.get('/');
    assert.deepEqual([reply.status, reply.headers.get('location')], [303, `${on.url}/auth.md`]);
  });

  test('documents have their media types, may be cached and be read by any web page, without credentials', async () => {
    const types: Record<string, string> = {
      [PATHS.authMd]: 'text/markdown; charset=utf-8',
      [PATHS.llmsTxt]: 'text/plain; charset=utf-8',
      '/assets/style.css': 'text/css; charset=utf-8',
      '/assets/copy.js': 'text/javascript; charset=utf-8',
      '/assets/icon.svg': 'image/svg+xml',
    };
    for (const { path } of open) {
      for (const origin of [undefined, 'https://app.example', 'null']) {
        const reply = await on.request('GET', path, {
          headers: origin === undefined ? {} : { Origin: origin },
        });
        assert.equal(reply.headers.get('access-control-allow-origin'), '*', path);
        assert.equal(reply.headers.get('access-control-allow-credentials'), null, path);
        assert.equal(reply.headers.get('cache-control'), 'public, max-age=300', path);
        assert.equal(reply.headers.get('x-content-type-options'), 'nosniff', path);
        if (path !== '/') {
          assert.equal(
            reply.headers.get('content-type'),
            types[path] ?? 'application/json; charset=utf-8',
            path,
          );
        }
      }
      const asked = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET' };
      const preflight = await on.request('OPTIONS', path, { headers: asked });
      assert.equal(preflight.status, 204, path);
      assert.equal(preflight.headers.get('access-control-allow-origin'), '*', path);
      assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /\bGET\b/, path);
      assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /mcp-protocol-version/, path);
      const head = await on.request('HEAD', path);
      assert.equal(head.text, '', path);
    }
  });

  test('nothing else may be read by web pages or kept by caches', async () => {
    const { credential } = await on.register();
    for (const { method, path } of routes.filter((row) => !row.open)) {
      for (const origin of ['https://app.example', 'null', on.url]) {
        for (const asked of [method, 'OPTIONS']) {
          const headers = {
            Origin: origin,
            Authorization: `Bearer ${credential}`,
            'Access-Control-Request-Method': method,
          };
          const reply = await on.request(asked, path.replace(':id', 'key_0'), { headers });
          const about = `${asked} ${path} from ${origin}`;
          for (const [name] of reply.headers) assert.doesNotMatch(name, /^access-control-/, about);
          assert.equal(reply.headers.get('cache-control'), 'no-store', about);
          if (asked === 'OPTIONS') assert.equal(reply.status, 405, about);
        }
      }
    }
  });

  test('the metadata of the authorization server says what there is, the block for agents included', async () => {
    const { body } = await document(PATHS.authorizationServer);
    assert.deepEqual(body, {
      issuer: on.url,
      response_types_supported: [],
      grant_types_supported: [],
      introspection_endpoint: `${on.url}/oauth2/introspect`,
      introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      revocation_endpoint: `${on.url}/oauth2/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
      scopes_supported: ['read', 'write'],
      bearer_methods_supported: ['header'],
      resource: 'https://api.example.com/mcp',
      authorization_servers: [on.url],
      protected_resources: RESOURCES.map(({ url }) => url),
      service_documentation: `${on.url}/auth.md`,
      agent_auth: {
        skill: `${on.url}/auth.md`,
        register_uri: `${on.url}/agent/auth`,
        claim_uri: `${on.url}/agent/auth/claim`,
        identity_types_supported: ['anonymous', 'identity_assertion'],
        anonymous: { credential_types_supported: ['api_key'] },
        identity_assertion: {
          assertion_types_supported: ['verified_email'],
          credential_types_supported: ['api_key'],
        },
      },
    });
  });

  test('each resource has its document below its own path, the first one at the root too', async () => {
    const first = {
      resource: 'https://api.example.com/mcp',
      resource_name: 'API',
      resource_documentation: 'https://docs.example.com/api',
      authorization_servers: [on.url],
      scopes_supported: ['read'],
      bearer_methods_supported: ['header'],
    };
    assert.deepEqual((await document(METADATA)).body, first);
    assert.deepEqual((await document(`${METADATA}/mcp`)).body, first);
    assert.deepEqual((await document(`${METADATA}/v1/files`)).body, {
      resource: 'https://files.example.com/v1/files',
      resource_name: 'Files',
      authorization_servers: [on.url],
      scopes_supported: ['read', 'write'],
      bearer_methods_supported: ['header'],
    });
    for (const path of [`${METADATA}/v1`, `${METADATA}/`, `${METADATA}/mcp/`]) {
      assert.equal((await on.get(path)).status, 404, path);
    }
  });

  test('no document has a member without a value', async () => {
    const walk = (value: unknown, at: string): void => {
      assert.notEqual(value, null, `${at} is null`);
      assert.notEqual(value, '', `${at} is empty`);
      if (typeof value === 'object')
        for (const [name, each] of Object.entries(value!)) walk(each, `${at}.${name}`);
    };
    for (const { path } of open) {
      const { text, body, headers } = await on.get(path);
      if (headers.get('content-type')?.startsWith('application/json')) walk(body, path);
      assert.doesNotMatch(text, /\{\{|\}\}\}|undefined|\[object|NaN/, path);
    }
  });

  test('no header of a request changes a URL that we write', async () => {
    const port = new URL(on.url).port;
    const evil = [
      ['X-Forwarded-Host', 'evil.example'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Port', '1'],
      ['X-Forwarded-Prefix', '/evil'],
      ['X-Host', 'evil.example'],
      ['X-Original-URL', '/evil'],
      ['Forwarded', 'host=evil.example;proto=https;for=1.2.3.4'],
      ['X-Forwarded-For', '1.2.3.4'],
    ] as const;
    for (const { path } of open) {
      const plain = await on.get(path);
      for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, 'localhost', '127.0.0.1:1']) {
        const reply = await send(on, 'GET', path, [...evil, ['Host', host]]);
        assert.deepEqual([reply.status, reply.text], [plain.status, plain.text], `${path} as ${host}`);
        assert.equal(reply.headers.get('location'), plain.headers.get('location'));
      }
    }
    const refusal = await send(on, 'GET', '/api/me', [...evil, ['Host', `127.0.0.1:${port}`]]);
    assert.equal(refusal.headers.get('www-authenticate'), `Bearer resource_metadata="${on.url}${METADATA}"`);

    const { claim_token } = await on.register();
    const body = JSON.stringify({ claim_token, email: 'host@example.com' });
    const asked = await send(
      on,
      'POST',
      '/agent/auth/claim',
      [...evil, ['Content-Type', 'application/json'], ['Host', '127.0.0.1:1']],
      body,
    );
    await on.codeFor('host@example.com');
    const { mails } = (await on.get('/dev/mailbox.json')).body;
    const mail = mails.find(({ to }: { to: string }) => to === 'host@example.com');
    const urls = [...`${mail.text}${mail.html}`.matchAll(/https?:\/\/[^\s"'<]+/g)].map(([url]) => url);
    const { verification_uri } = asked.body.data;
    for (const url of urls.filter((each) => each !== on.url && each !== verification_uri)) {
      assert.ok(url.startsWith(`${on.url}/claim/deny?t=d.`), url);
    }
    assert.ok(verification_uri.startsWith(`${on.url}/claim?t=v.`), verification_uri);
    assert.ok(urls.includes(verification_uri), 'the mail leads to the page that the agent names');
    assert.ok(!JSON.stringify(mail).includes('evil'));
    assert.ok(!JSON.stringify(mail).includes('1.2.x.x'));
  });

  test('llms.txt begins as the format wants it: a title, a summary, links', async () => {
    const { text } = await document(PATHS.llmsTxt);
    assert.match(text, /^# Acme\n\n> .+\n\n(- \[.+\]\(.+\): .+\n)+$/);
  });

  describe('the OpenAPI description', () => {
    let api: OpenApi;
    before(async () => {
      api = (await document(PATHS.openapi)).body;
    });

    const operationOf = (method: string, path: string) => api.paths[path]![method.toLowerCase()]!;

    test('describes every route that takes or gives something, and neither pages nor any other', () => {
      assert.equal(api.openapi, '3.1.0');
      const described = Object.entries(api.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const served = routes
        .filter((row) => row.body !== undefined || row.answer !== undefined)
        .filter((row) => row.dialect.name !== 'page')
        .map((row) => `${row.method} ${row.path.replace(/:(\w+)/g, '{$1}')}`);
      assert.deepEqual(described.sort(), served.sort());
      const ids = Object.values(api.paths).flatMap((methods) =>
        Object.values(methods).map(({ operationId }) => operationId),
      );
      assert.equal(new Set(ids).size, ids.length, 'an operationId is there twice');
    });

    test('real answers and refusals are as it says', async () => {
      const { server, secret } = await addResourceServer(on.service.deps, localAsker('test'), {
        url: 'https://api.example.com/mcp',
        name: 'API',
        scopes: undefined,
      });
      const check = (method: string, path: string, reply: Reply): Reply => {
        const { responses } = operationOf(method, path);
        const response = responses[reply.status] ?? responses.default!;
        const { schema } = response.content['application/json']!;
        assert.deepEqual(mismatches(schema, reply.body, api), [], `${method} ${path} answers ${reply.text}`);
        return reply;
      };
      /** Sends a body that the description allows, and checks what comes back. */
      const post = async (path: string, body: object, key?: string): Promise<Reply> => {
        const { requestBody } = operationOf('POST', path);
        const { schema } = requestBody.content['application/json']!;
        assert.deepEqual(mismatches(schema, body, api), [], `POST ${path} with ${JSON.stringify(body)}`);
        return check('POST', path, await on.post(path, body, key ? { Authorization: `Bearer ${key}` } : {}));
      };
      const get = async (path: string, key: string) => check('GET', path, await on.get(path, key));
      const ask = async (token: string, auth = secret) =>
        check(
          'POST',
          '/oauth2/introspect',
          await on.form('/oauth2/introspect', { token }, basic(server.id, auth)),
        );

      const { credential, claim_token } = (
        await post('/agent/auth', { type: 'anonymous', agent_name: 'Robin' })
      ).body.data;
      await get('/api/me', credential);
      await post('/agent/auth/claim', { claim_token, email: 'api@example.com' });
      const otp = await on.codeFor('api@example.com');
      await get('/api/me', credential);
      const poll = await post('/agent/auth/claim/complete', { claim_token });
      assert.equal(poll.body.error.code, 'authorization_pending');
      check(
        'POST',
        '/agent/auth/claim/complete',
        await on.post('/agent/auth/claim/complete', {
          claim_token,
          otp: otp === '000000' ? '000001' : '000000',
        }),
      );
      const claimed = (await post('/agent/auth/claim/complete', { claim_token, otp })).body.data;
      await post('/agent/auth/claim/complete', { claim_token, otp });
      await get('/api/me', claimed.credential);
      const more = {
        name: 'helper',
        scope: 'read',
        expires_in: 60,
        resources: ['https://api.example.com/mcp'],
      };
      const made = (await post('/api/tokens', more, claimed.credential)).body.data;
      await get('/api/tokens', claimed.credential);
      await get('/api/tokens', credential);
      for (const token of [claimed.credential, made.credential, 'junk']) await ask(token);
      await ask('junk', 'wrong');
      check('DELETE', '/api/tokens/{id}', await on.del(`/api/tokens/${made.id}`, claimed.credential));
      check('DELETE', '/api/tokens/{id}', await on.del('/api/tokens/key_0', claimed.credential));
      await post('/agent/auth', {
        type: 'identity_assertion',
        assertions: [{ type: 'verified_email', email: 'api@example.com' }],
        link: true,
      });
      check('POST', '/agent/auth', await on.post('/agent/auth', {}));
    });

    test('the checker of this test sees what is wrong', async () => {
      const { responses } = operationOf('GET', '/api/me');
      const { schema } = responses[200]!.content['application/json']!;
      const { body } = await on.get('/api/me', (await on.register()).credential);
      assert.deepEqual(mismatches(schema, body, api), []);
      assert.notDeepEqual(mismatches(schema, { ...body, data: { ...body.data, user_id: 1 } }, api), []);
      assert.notDeepEqual(mismatches(schema, { ...body, data: { ...body.data, more: 1 } }, api), []);
      assert.notDeepEqual(
        mismatches(schema, { ...body, data: { ...body.data, claim: { status: 'unclaimed' } } }, api),
        [],
      );
    });
  });

  describe('auth.md', () => {
    test('every command works as written, from the first to the last, and answers what is shown', async () => {
      const { text } = await document(PATHS.authMd);
      const commands = [...text.matchAll(/```sh\n(.+?)\n```(?:\n\n```json\n(.+?)\n```)?/gs)];
      assert.ok(commands.length >= 8);
      const known = { sk: '', ct: '', key: '', code: '', mailbox: 'reader@example.com' };
      let mails = 0;
      for (const [, command, shown] of commands) {
        const line = command!
          .replaceAll('sk_...', known.sk)
          .replaceAll('ct_...', known.ct)
          .replaceAll('key_...', known.key)
          .replaceAll('123456', known.code)
          .replaceAll('you@example.com', known.mailbox);
        assert.doesNotMatch(line, /\.\.\./, `the reader is not told what to put in here: ${command}`);
        const { stdout } = await run('bash', ['-c', line]);
        if (line.includes('/oauth2/revoke')) {
          assert.equal(stdout, '', command);
          continue;
        }
        const { ok, data, error } = JSON.parse(stdout);
        const promised = shown === undefined ? { ok: true } : JSON.parse(shown);
        assert.equal(ok, promised.ok, `${command}: ${stdout}`);
        assert.equal(error?.code, promised.error?.code, `${command}: ${stdout}`);
        if (shown !== undefined) {
          assert.deepEqual(
            Object.keys(data ?? error),
            Object.keys(promised.data ?? promised.error),
            `${command}: the answer has other members`,
          );
        }
        if (!ok) continue;
        known.sk = data.credential && !data.id ? data.credential : known.sk;
        known.ct = data.claim_token ?? known.ct;
        known.key = data.id ?? known.key;
        if (data.verification_required) {
          known.code = await on.codeFor(known.mailbox, mails);
          mails += 1;
        }
      }
      assert.equal((await on.get('/api/me', known.sk)).status, 401, 'the last command ended the key');
      // "Go on with step 4": the claim token of the last registration is completed by the code of its own mail.
      const completed = await on.post('/agent/auth/claim/complete', {
        claim_token: known.ct,
        otp: known.code,
      });
      assert.equal(completed.status, 200, completed.text);
    });

    test('its table of errors has every code that an agent can meet, with its status, and no other', async () => {
      const { text } = await document(PATHS.authMd);
      const rows = text.slice(text.indexOf('## Errors')).matchAll(/^\| (\d{3}) \| (.+?) \| (.+?) \|$/gm);
      const told = [...rows].flatMap(([, status, codes]) =>
        [...codes!.matchAll(/`(\w+)`/g)].map(([, code]) => `${status} ${code}`),
      );
      // An agent calls neither what is for resource servers nor a page.
      const forOthers = ['invalid_client', 'forbidden'];
      const spelt = Object.values(NATIVE)
        .filter(({ code }) => !forOthers.includes(code))
        .map(({ status, code }) => `${status} ${code}`);
      assert.deepEqual(told.sort(), [...new Set(spelt)].sort());
    });

    test('its numbers, scopes and names are those of the configuration', async () => {
      const { text } = await document(PATHS.authMd);
      const { config } = on.service.deps;
      assert.ok(text.startsWith('# auth.md: how agents get access to Acme\n'));
      for (const [name, { description }] of config.scopes)
        assert.ok(text.includes(`- \`${name}\`: ${description}`));
      assert.ok(text.includes('(https://api.example.com/mcp)'));
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: 'poll@example.com' });
      const { headers } = await on.post('/agent/auth/claim/complete', { claim_token });
      assert.ok(text.includes(`after ${headers.get('retry-after')} seconds (\`Retry-After\`)`));
      assert.ok(text.includes(`Registrations: ${config.limits.registerPerIp.max} per`));
    });
  });
});
