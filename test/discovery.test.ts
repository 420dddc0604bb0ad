import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose';
import { createRoutes } from '../src/app.ts';
import { ASSERTION_REVOKED } from '../src/domain/agents/revoke-by-provider.ts';
import { addResourceServer } from '../src/domain/audiences/resource-servers.ts';
import { localAsker } from '../src/domain/audit/audit-log.ts';
import type { Kind } from '../src/errors.ts';
import { TINYSEND } from '../src/http/dialects/tinysend.ts';
import { CLAIM, ID_JAG, JWT_BEARER } from '../src/http/oauth/grant-types.ts';
import { PATHS } from '../src/http/server/paths.ts';
import type { Route } from '../src/http/server/table.ts';
import { newKey, openAgentClient } from './helpers/agent-client.ts';
import { confirm, openAuthMd, SIGNED_API, typeCode } from './helpers/auth-md.ts';
import { openBrowser } from './helpers/browser.ts';
import { signIn } from './helpers/human.ts';
import { mismatches } from './helpers/schema.ts';
import { basic, type Reply, startTestService, type TestService } from './helpers/service.ts';
import { send } from './helpers/wire.ts';

type Schema = Record<string, unknown>;
interface Operation {
  operationId: string;
  requestBody: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
interface OpenApi extends Schema {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

/** Rule 10: discovery says only what is served, and all of it is true. */

const run = promisify(execFile);
const METADATA = '/.well-known/oauth-protected-resource';

const WORD_OF_A_STRANGER = [
  '{"alg":"ES256","typ":"oauth-id-jag+jwt"}',
  '{"iss":"https://stranger.example"}',
  'x',
]
  .map((part) => Buffer.from(part).toString('base64url'))
  .join('.');

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

const TRUSTED = { issuer: 'https://agents.example', displayName: 'Agents' };

/** Of the authorization server metadata there is none below a path, since no resource here is on our own origin. */
function documentsBelow(row: Route): Route[] {
  if (!row.path.startsWith(METADATA)) return [];
  return ['/mcp', '/v1/files'].map((path) => ({ ...row, path: METADATA + path }));
}

/** A service with this configuration file. */
async function startWith(file: object, env: Record<string, string> = {}): Promise<TestService> {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
  try {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify(file));
    return await startTestService('sqlite', { env: { CONFIG: path, ...env } });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('discovery', () => {
  let on: TestService;
  let open: Route[];
  let routes: Route[];
  before(async () => {
    on = await startWith({ service: { name: 'Acme' }, resources: RESOURCES, trustedIssuers: [TRUSTED] });
    routes = createRoutes(on.service.deps, { devMailbox: undefined, follow: async () => () => {} }).flat();
    // A row for any path stands here for the documents that it has.
    open = routes
      .filter((row) => row.open)
      .flatMap((row) => (/[:*]/.test(row.path) ? documentsBelow(row) : [row]));
  });
  after(() => on.stop());

  const document = async (path: string) => {
    const reply = await on.get(path);
    assert.equal(reply.status, 200, path);
    return reply;
  };

  /** Those of the agent configuration are relative to its issuer. */
  const endpointsIn = (text: string): string[] =>
    Object.values<string>(JSON.parse(text).endpoints).map((path) => on.url + path);

  test('every URL in every document leads somewhere', async () => {
    const foreign = new Set(RESOURCES.flatMap(({ url, documentation = url }) => [url, documentation]));
    foreign.add(ASSERTION_REVOKED); // a name and no link
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
      if (path === PATHS.agentConfiguration) paths.push(...endpointsIn(text));
      for (const url of [...urls, ...paths]) {
        if (foreign.has(url)) continue;
        assert.ok(url === on.url || url.startsWith(`${on.url}/`), `${path} names ${url}, which is not ours`);
        followed.add(url);
      }
    }
    for (const url of followed) {
      const query = url.endsWith(PATHS.capabilityDescribe) ? '?name=read' : '';
      const path = url.slice(on.url.length) + query || '/';
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
      body.token_endpoint,
      body.agent_auth.register_uri,
      body.agent_auth.claim_uri,
      body.agent_auth.revocation_uri,
      body.agent_auth.identity_endpoint,
      body.agent_auth.claim_endpoint,
      // Clients make these of the two claim endpoints, and take the first from no document.
      `${body.agent_auth.claim_endpoint}/complete`,
      `${body.agent_auth.claim_uri}/complete`,
      body.agent_auth.events_endpoint,
    ];
    for (const url of endpoints) {
      const reply = await on.request('GET', url.slice(on.url.length));
      assert.deepEqual([reply.status, reply.headers.get('allow')], [405, 'POST'], url);
    }
    assert.equal((await document(body.agent_auth.skill.slice(on.url.length))).status, 200);
    assert.equal((await document(body.jwks_uri.slice(on.url.length))).body.keys.length, 1);
  });

  test('whom the service trusts stands in no document', async () => {
    for (const { path } of open) {
      const { text } = await on.get(path);
      for (const name of [TRUSTED.issuer, 'agents.example', `"${TRUSTED.displayName}"`]) {
        assert.ok(!text.includes(name), `${path} names ${name}`);
      }
    }
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
    for (const { method, path } of routes.filter((row) => !row.open && !row.cors)) {
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

  /** All of the metadata, of a service with or without agent providers that it trusts. */
  const metadataOf = ({ url }: TestService, resources: readonly string[], hasIssuers: boolean) => ({
    issuer: url,
    token_endpoint: `${url}/oauth2/token`,
    token_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: [JWT_BEARER, CLAIM],
    jwks_uri: `${url}/.well-known/jwks.json`,
    introspection_endpoint: `${url}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    revocation_endpoint: `${url}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: ['none'],
    scopes_supported: ['read', 'write'],
    bearer_methods_supported: ['header'],
    resource: resources[0],
    authorization_servers: [url],
    protected_resources: resources,
    service_documentation: `${url}/auth.md`,
    agent_auth: {
      skill: `${url}/auth.md`,
      register_uri: `${url}/agent/auth`,
      claim_uri: `${url}/agent/auth/claim`,
      ...(hasIssuers && { revocation_uri: `${url}/agent/auth/revoke` }),
      identity_endpoint: `${url}/agent/identity`,
      claim_endpoint: `${url}/agent/identity/claim`,
      ...(hasIssuers && { events_endpoint: `${url}/agent/event/notify` }),
      identity_types_supported: ['anonymous', 'identity_assertion', 'service_auth'],
      anonymous: { credential_types_supported: ['api_key', 'access_token'] },
      identity_assertion: {
        assertion_types_supported: hasIssuers ? [ID_JAG, 'verified_email'] : ['verified_email'],
        credential_types_supported: ['access_token', 'api_key'],
      },
      events_supported: hasIssuers ? [ASSERTION_REVOKED] : [],
    },
  });

  test('the metadata of the authorization server says what there is, the block for agents included', async () => {
    const resources = RESOURCES.map(({ url }) => url);
    assert.deepEqual((await document(PATHS.authorizationServer)).body, metadataOf(on, resources, true));
  });

  test('who trusts no agent provider says nothing of them', async (t) => {
    const alone = await startTestService('sqlite');
    t.after(() => alone.stop());
    const { body, text } = await alone.get(PATHS.authorizationServer);
    assert.deepEqual(body, metadataOf(alone, [alone.url], false));
    assert.doesNotMatch(text, /id-jag|revocation_uri|events_endpoint/);
    const word = { type: 'identity_assertion', assertion_type: ID_JAG, assertion: WORD_OF_A_STRANGER };
    const reply = await alone.post('/agent/identity', word);
    assert.deepEqual([reply.status, reply.body.error], [400, 'invalid_issuer']);
  });

  test('a grant is taken where it is named, and nowhere else', async (t) => {
    for (const [claimMode, grants] of [
      ['both', [JWT_BEARER, CLAIM]],
      ['typed', [JWT_BEARER, CLAIM]],
      ['reveal', [JWT_BEARER]],
    ] as const) {
      const each = await startWith({ claimMode });
      t.after(() => each.stop());
      assert.deepEqual((await each.get(PATHS.authorizationServer)).body.grant_types_supported, grants);
      for (const [grant_type, known] of [
        [JWT_BEARER, 'invalid_grant'],
        [CLAIM, 'expired_token'],
        ['authorization_code', ''],
        ['refresh_token', ''],
        ['client_credentials', ''],
      ] as const) {
        const reply = await each.form('/oauth2/token', { grant_type, assertion: 'x', claim_token: 'x' });
        const isNamed = grants.some((grant) => grant === grant_type);
        const said = [reply.status, reply.body.error];
        assert.deepEqual(
          said,
          [400, isNamed ? known : 'unsupported_grant_type'],
          `${claimMode} ${grant_type}`,
        );
      }
    }
  });

  test('the metadata is found in every place where clients look: at the root, behind another slash, at the paths of our resources', async (t) => {
    const PUBLIC_URL = 'http://localhost:4321'; // the paths follow from the name; the port is any
    const resources = ['/mcp', '/v1/files/', '/'].map((path) => ({ url: PUBLIC_URL + path, name: path }));
    const elsewhere = { url: 'https://api.example.com/elsewhere', name: 'Elsewhere' };
    const each = await startWith({ resources: [...resources, elsewhere] }, { PUBLIC_URL });
    t.after(() => each.stop());
    const at = (path: string) => send(each, 'GET', path);
    const { text, body } = await at(PATHS.authorizationServer);
    assert.equal(body.issuer, PUBLIC_URL);
    for (const path of [
      '//.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/mcp',
      '/mcp/.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/v1/files/',
      '/v1/files/.well-known/oauth-authorization-server',
    ]) {
      const reply = await at(path);
      assert.deepEqual([reply.status, reply.text], [200, text], path);
      assert.equal(reply.headers.get('access-control-allow-origin'), '*', path);
    }
    for (const path of [
      '///.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/',
      '/.well-known/oauth-authorization-server/elsewhere',
      '/elsewhere/.well-known/oauth-authorization-server',
      '/v1/.well-known/oauth-authorization-server',
      '//.well-known/jwks.json',
    ]) {
      assert.equal((await at(path)).status, 404, path);
    }
  });

  test('the key set has public keys alone, and verifies what is signed here', async () => {
    const { body } = await document(PATHS.jwks);
    assert.deepEqual(Object.keys(body), ['keys']);
    for (const key of body.keys) {
      assert.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      assert.deepEqual([key.kty, key.crv, key.alg, key.use], ['EC', 'P-256', 'ES256', 'sig']);
      assert.equal(key.kid, await calculateJwkThumbprint(key));
    }
    const { identity_assertion, registration_id } = (await on.post('/agent/identity', { type: 'anonymous' }))
      .body;
    const expected = {
      issuer: on.url,
      audience: on.url,
      typ: 'agent-identity+jwt',
      subject: registration_id,
    };
    const currentDate = new Date(on.clock());
    await jwtVerify(identity_assertion, createLocalJWKSet(body), { ...expected, currentDate });
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
    assert.equal(
      refusal.headers.get('www-authenticate'),
      `Bearer resource_metadata="${on.url}${METADATA}", AgentAuth discovery="${on.url}/.well-known/agent-configuration"`,
    );

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
    assert.match(
      text,
      /^# Acme\n\n> .+\n\nHave you a key .+\n\n(- \[.+\]\(.+\): .+\n)+\n## .+\n\n(- \[.+\]\(.+\): .+\n)+$/,
    );
  });

  describe('the OpenAPI description', () => {
    let api: OpenApi;
    before(async () => {
      api = (await document(PATHS.openapi)).body;
    });

    const operationOf = (method: string, path: string) => api.paths[path]![method.toLowerCase()]!;
    const checkReply = (described: OpenApi, method: string, path: string, reply: Reply): Reply => {
      const { responses } = described.paths[path]![method.toLowerCase()]!;
      const { content } = responses[reply.status] ?? responses.default!;
      if (content === undefined) {
        assert.equal(reply.text, '', `${method} ${path} is to answer nothing`);
        return reply;
      }
      const { schema } = content['application/json']!;
      const found = mismatches(schema, reply.body, described);
      assert.deepEqual(found, [], `${method} ${path} answers ${reply.text}`);
      return reply;
    };

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
      const check = (method: string, path: string, reply: Reply) => checkReply(api, method, path, reply);
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

    test("those of auth.md's own versions are as it says, too", async (t) => {
      const world = await openAuthMd('sqlite');
      t.after(() => world.stop());
      const described: OpenApi = (await world.on.get(PATHS.openapi)).body;
      const FORM = 'application/x-www-form-urlencoded';
      const check = (path: string, reply: Reply, status: number): Reply => {
        assert.equal(reply.status, status, `POST ${path}: ${reply.text}`);
        return checkReply(described, 'POST', path, reply);
      };
      /** Sends a body that the description allows, and checks what comes back. */
      const post = async (
        path: string,
        body: Record<string, string>,
        status = 200,
        type = 'application/json',
      ) => {
        const { schema } = described.paths[path]!.post!.requestBody.content[type]!;
        assert.deepEqual(
          mismatches(schema, body, described),
          [],
          `POST ${path} with ${JSON.stringify(body)}`,
        );
        return check(path, await (type === FORM ? world.on.form : world.on.post)(path, body), status);
      };
      const identity = (body: Record<string, string>, status?: number) =>
        post('/agent/identity', body, status);

      // By identity, in the way of 0.6 and that of production
      const agent = (await identity({ type: 'anonymous', agent_name: 'Robin' })).body;
      await identity({ type: 'refresh', refresh_token: agent.identity.refresh_token.value });
      await identity({ type: 'refresh', refresh_token: 'art_none' }, 400);
      const grant = { grant_type: JWT_BEARER, assertion: agent.identity_assertion };
      for (const type of [FORM, 'application/json']) {
        await post('/oauth2/token', { ...grant, resource: SIGNED_API, scope: 'read' }, 200, type);
        await post('/oauth2/token', { ...grant, scope: 'write' }, 400, type);
      }
      const hinted = (await identity({ type: 'service_auth', login_hint: 'typed@example.com' })).body;
      const poll = { grant_type: CLAIM, claim_token: hinted.claim_token };
      await post('/oauth2/token', poll, 400, FORM);
      const typing = await world.visit(hinted.claim.verification_uri, 'typed@example.com');
      await typeCode(typing, hinted.claim.user_code);
      await post('/oauth2/token', poll, 200, FORM);
      const { claim_token } = agent;
      const asked = { type: 'service_auth', claim_token, login_hint: 'shown@example.com' };
      const { attempt } = (await post('/agent/identity/claim', asked)).body;
      const complete = (code: Record<string, string>, status: number) =>
        post('/agent/identity/claim/complete', { claim_token, ...code }, status);
      await complete({ user_code: 'BCDF-GHJK' }, 409);
      const user_code = await confirm(await world.visit(attempt.verification_uri, 'shown@example.com'));
      await complete({ user_code: 'BBBB-BBBB' }, 401);
      await complete({ user_code }, 200);
      await complete({ user_code }, 409);
      await post('/agent/identity/claim', asked, 409);

      // By a mailed link, in the ways of 0.2 and 0.1
      const mailed = {
        type: 'identity_assertion',
        assertion_type: 'verified_email',
        assertion: 'b1@example.com',
      };
      const b1 = (await identity(mailed)).body;
      await world.mailedPage('b1@example.com');
      await post('/agent/identity/claim', { claim_token: b1.claim_token, email: 'b1@example.com' });
      await post('/agent/identity/claim', { claim_token: 'clm_none', email: 'b1@example.com' }, 401);
      const otp = await confirm(await world.visit(await world.mailedPage('b1@example.com', 1)));
      await post('/agent/identity/claim/complete', { claim_token: b1.claim_token, otp });
      await post('/agent/identity/claim/complete', { claim_token: b1.claim_token, otp }, 409);
      const register = { ...mailed, assertion: 'a@example.com', requested_credential_type: 'access_token' };
      const a = (await post('/agent/auth', register)).body;
      const sixDigits = await confirm(await world.visit(await world.mailedPage('a@example.com')));
      const done = { claim_token: a.claim_token, otp: sixDigits };
      await post(
        '/agent/auth/claim/complete',
        { ...done, otp: '1'.padEnd(6, sixDigits[0] === '1' ? '2' : '1') },
        401,
      );
      await post('/agent/auth/claim/complete', done);
      await post('/agent/auth/claim/complete', done, 409);
      const key = (await post('/agent/auth', { type: 'anonymous', requested_credential_type: 'api_key' }))
        .body;
      await post('/agent/auth/claim', { claim_token: key.claim_token, email: 'a2@example.com' });
      const widened = await confirm(await world.visit(await world.mailedPage('a2@example.com')));
      await post('/agent/auth/claim/complete', { claim_token: key.claim_token, otp: widened });
      await post('/agent/auth', { ...register, assertion: 'nobody' }, 400);

      // By the word of an agent provider
      const user = { sub: 'user-1', email: 'word@example.com' };
      const word = (assertion: string) => ({ type: 'identity_assertion', assertion_type: ID_JAG, assertion });
      await identity(word(world.idJag(user)));
      await identity(word(world.idJag({ sub: 'user-2', email: 'word@example.com' })), 401);
      await identity(word(world.idJag(user, { aud: 'https://elsewhere.example' })), 400);
      await identity(word(world.idJag(user, { auth_time: 1 })), 401);
      const known = { ...word(world.idJag(user)), requested_credential_type: 'api_key' };
      await post('/agent/auth', known);
      await post(
        '/agent/auth',
        { ...known, assertion: world.idJag({ sub: 'user-3', email: user.email }) },
        401,
      );
      const other = (await identity({ type: 'anonymous' })).body;
      const asserted = (assertion: string) => ({
        type: 'identity_assertion',
        claim_token: other.claim_token,
        assertion,
      });
      await post('/agent/identity/claim', asserted(world.idJag({ sub: 'user-4', email: user.email })));
      await post('/agent/identity/claim', asserted(world.idJag({ sub: 'user-5', email: 'new@example.com' })));
      const notices: [path: string, type: string, token: string, status: number][] = [
        ['/agent/event/notify', 'application/secevent+jwt', world.securityEvent(user), 202],
        ['/agent/event/notify', 'application/secevent+jwt', 'x', 400],
        ['/agent/auth/revoke', 'application/logout+jwt', world.logout(user), 200],
        ['/agent/auth/revoke', 'application/logout+jwt', 'x', 400],
      ];
      for (const [path, type, token, status] of notices) {
        const { schema } = described.paths[path]!.post!.requestBody.content[type]!;
        assert.deepEqual(mismatches(schema, token, described), []);
        const reply = await world.on.request('POST', path, {
          body: token,
          headers: { 'Content-Type': type },
        });
        check(path, reply, status);
      }
    });

    test('those of the Agent Auth Protocol are as it says, and their lists and schemas, too', async () => {
      const client = openAgentClient(on);
      const check = (method: string, path: string, reply: Reply, status = 200): Reply => {
        assert.equal(reply.status, status, `${method} ${path}: ${reply.text}`);
        return checkReply(api, method, path, reply);
      };
      const bodyOf = (path: string, body: object) => {
        const { schema } = operationOf('POST', path).requestBody.content['application/json']!;
        assert.deepEqual(mismatches(schema, body, api), [], `POST ${path} with ${JSON.stringify(body)}`);
        return body;
      };
      const [host, key] = [client.newHost(), newKey()];
      const ask = { mode: 'autonomous', name: 'bot', capabilities: ['read', 'write'] } as const;
      bodyOf(PATHS.agentRegister, { ...ask, host_name: 'box', reason: 'why' });
      const registered = check(
        'POST',
        PATHS.agentRegister,
        await client.register(host, key, { ...ask, capabilities: [...ask.capabilities] }),
      );
      const agent = { id: registered.body.agent_id, key, host };
      const asked = [{ name: 'write', constraints: { seconds: { max: 60 } } }];
      bodyOf(PATHS.agentRegister, { name: 'helper', capabilities: asked, login_hint: 'a@example.com' });
      const waiting = await client.connect(host, { capabilities: asked });
      check('POST', PATHS.agentRegister, waiting.reply);
      check('POST', PATHS.agentRegister, (await client.connect(host, { capabilities: ['fly'] })).reply, 400);
      check('GET', PATHS.agentStatus, await client.status(agent));
      check('GET', PATHS.agentStatus, await client.status({ ...agent, id: 'agt_none' }), 404);
      check('GET', PATHS.agentStatus, await client.status(agent, { token: 'x' }), 401);
      bodyOf(PATHS.agentRequest, { capabilities: asked });
      check('POST', PATHS.agentRequest, await client.request(agent, { capabilities: ['write'] }));
      for (const reply of [
        await client.list(undefined),
        await client.list(host, '?limit=1'),
        await client.listAsAgent(agent),
      ]) {
        check('GET', PATHS.capabilityList, reply);
      }
      for (const name of ['whoami', 'read']) {
        check('GET', PATHS.capabilityDescribe, await client.describe(name, agent));
      }
      check('GET', PATHS.capabilityDescribe, await client.describe('fly'), 404);
      bodyOf(PATHS.capabilityExecute, { capability: 'read', arguments: { seconds: 60 } });
      check('POST', PATHS.capabilityExecute, await client.execute(agent, 'read'));
      check('POST', PATHS.capabilityExecute, await client.execute(agent, 'write'), 403);
      check('POST', PATHS.agentReactivate, await client.reactivate(agent));
      check('POST', PATHS.agentRotate, await client.rotateAgentKey(agent, newKey()));
      check('POST', PATHS.agentRevoke, await client.disconnect(agent));
      const next = { ...host, key: newKey() };
      check('POST', PATHS.hostRotate, await client.rotateHostKey(host, next.key));
      check('POST', PATHS.hostRevoke, await client.revokeHost(next));
    });

    test('the checker of this test sees what is wrong', async () => {
      const { responses } = operationOf('GET', '/api/me');
      const { schema } = responses[200]!.content!['application/json']!;
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
    /** The names in an answer, as deep as it goes. */
    const namesIn = (value: unknown): unknown =>
      typeof value !== 'object' || value === null || Array.isArray(value)
        ? typeof value
        : Object.fromEntries(Object.entries(value).map(([name, each]) => [name, namesIn(each)]));

    /** A human opens the page that the agent names, signs in, confirms, and reads the code out. */
    async function readOut(link: string, mailbox: string): Promise<string> {
      const browser = openBrowser(on);
      await browser.get(link);
      await signIn(on, mailbox, { browser });
      return confirm(browser);
    }

    test('every command works as written, from the first to the last, and answers what is shown', async () => {
      const { text } = await document(PATHS.authMd);
      const commands = [...text.matchAll(/```sh\n(.+?)\n```(?:\n\n```json\n(.+?)\n```)?/gs)];
      assert.ok(commands.length >= 8);
      const known = { sk: '', ct: '', key: '', code: '', mailbox: 'reader@example.com' };
      const own = { assertion: '', refresh: '', token: '', code: '', mailbox: 'other-reader@example.com' };
      let mails = 0;
      for (const [, command, shown] of commands) {
        const isOwn = /\/agent\/identity|\/oauth2\/token/.test(command!);
        const line = command!
          .replaceAll('sk_...', known.sk)
          .replaceAll('ct_...', known.ct)
          .replaceAll('key_...', known.key)
          .replaceAll('123456', known.code)
          .replaceAll('you@example.com', isOwn ? own.mailbox : known.mailbox)
          .replaceAll('eyJ...', own.assertion)
          .replaceAll('art_...', own.refresh)
          .replaceAll('clm_...', own.token)
          .replaceAll('BCDF-GHJK', own.code);
        assert.doesNotMatch(line, /\.\.\./, `the reader is not told what to put in here: ${command}`);
        const { stdout } = await run('bash', ['-c', line]);
        if (line.includes('/oauth2/revoke')) {
          assert.equal(stdout, '', command);
          continue;
        }
        if (isOwn) {
          const answer = JSON.parse(stdout);
          assert.equal(answer.error, undefined, `${command}: ${stdout}`);
          if (shown !== undefined) assert.deepEqual(namesIn(answer), namesIn(JSON.parse(shown)), command);
          own.assertion = answer.identity?.assertion ?? own.assertion;
          own.refresh = answer.identity?.refresh_token?.value ?? own.refresh;
          own.token = answer.claim_token ?? own.token;
          if (answer.attempt !== undefined)
            own.code = await readOut(answer.attempt.verification_uri, own.mailbox);
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
      assert.match(own.code, /^[B-Z]{4}-[B-Z]{4}$/, 'the human of the other versions read a code out');
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
      // The first table there; what else the document says of errors is not of the tinysend profile.
      const table = /(?:^\|.*\n)+/m.exec(text.slice(text.indexOf('## Errors')))?.[0] ?? '';
      const rows = table.matchAll(/^\| (\d{3}) \| (.+?) \| (.+?) \|$/gm);
      const told = [...rows].flatMap(([, status, codes]) =>
        [...codes!.matchAll(/`(\w+)`/g)].map(([, code]) => `${status} ${code}`),
      );
      /** What no agent of the tinysend profile meets: the kind, and why it cannot. */
      const forOthers: Partial<Record<Kind, string>> = {
        invalidClient: 'resource servers alone authenticate',
        forbidden: 'forms of pages alone have a token to lack',
        invalidAssertion: 'the profile takes no word of a provider',
        loginRequired: 'the same',
        invalidRefreshToken: 'its keys are not renewed',
        invalidGrant: 'of the token endpoint, which speaks OAuth',
        invalidTarget: 'the same',
        invalidScope: 'the same',
        unsupportedGrant: 'the same',
        pollTooFast: 'the same',
        methodDisabled: 'of codes at /agent/identity; the profile mails its own, which nobody can turn off',
      };
      const spelt = Object.entries(TINYSEND)
        .filter(([kind]) => forOthers[kind as Kind] === undefined)
        .map(([, { status, code }]) => `${status} ${code}`);
      assert.deepEqual(told.sort(), [...new Set(spelt)].sort());
    });

    test('its numbers, scopes and names are those of the configuration', async () => {
      const { text } = await document(PATHS.authMd);
      const { config } = on.service.deps;
      assert.ok(text.startsWith('# auth.md: how agents get access to Acme\n'));
      for (const [name, { description }] of config.scopes)
        assert.ok(text.includes(`- \`${name}\`: ${description}`));
      assert.ok(text.includes('- https://api.example.com/mcp (API): `read`\n'));
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: 'poll@example.com' });
      const { headers } = await on.post('/agent/auth/claim/complete', { claim_token });
      assert.ok(text.includes(`after ${headers.get('retry-after')} seconds (\`Retry-After\`)`));
      assert.ok(text.includes(`Registrations: ${config.limits.registerPerIp.max} per`));
    });
  });
});
