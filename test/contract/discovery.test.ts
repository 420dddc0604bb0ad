import type { ExecutionContext } from 'ava';
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose';
import { ASSERTION_REVOKED } from '../../src/domain/agents/revoke-by-provider.ts';
import { CLAIM_GRANT, DEVICE_GRANT, ID_JAG, JWT_BEARER } from '../../src/http/oauth/grant-types.ts';
import { PATHS } from '../../src/http/server/paths.ts';
import type { Route } from '../../src/http/server/table.ts';
import { routesOf } from '../helpers/bad-input.ts';
import { RESOURCES, startWith, TRUSTED, WORD_OF_A_STRANGER } from '../helpers/configured-service.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';
import { send } from '../helpers/wire.ts';

const METADATA = '/.well-known/oauth-protected-resource';

/** Of the authorization server metadata there is none below a path, since no resource here is on our own origin. */
function documentsBelow(row: Route): Route[] {
  if (!row.path.startsWith(METADATA)) return [];
  return ['/mcp', '/v1/files'].map((path) => ({ ...row, path: METADATA + path }));
}

test.describe('discovery', (test) => {
  let on: TestService;
  let open: Route[];
  let routes: Route[];
  test.before(async () => {
    on = await startWith({ service: { name: 'Acme' }, resources: RESOURCES, trustedIssuers: [TRUSTED] });
    routes = routesOf(on).routes;
    // A row for any path stands here for the documents that it has.
    open = routes
      .filter((row) => row.open)
      .flatMap((row) => (/[:*]/.test(row.path) ? documentsBelow(row) : [row]));
  });
  test.after(() => on.stop());

  const document = async (t: ExecutionContext, path: string) => {
    const reply = await on.get(path);
    t.is(reply.status, 200, path);
    return reply;
  };

  /** Those of the agent configuration are relative to its issuer. */
  const endpointsIn = (text: string): string[] =>
    Object.values<string>(JSON.parse(text).endpoints).map((path) => on.url + path);

  test('every URL in every document leads somewhere', async (t) => {
    const foreign = new Set(RESOURCES.flatMap(({ url, documentation = url }) => [url, documentation]));
    foreign.add(ASSERTION_REVOKED); // a name and no link
    const followed = new Set<string>();
    // What stands for the page of the reader's own claim.
    const { verification_uri } = (await on.post('/agent/auth', { type: 'anonymous' })).body.data;
    for (const { path } of open.filter((row) => row.path !== '/' && !row.path.startsWith('/assets/'))) {
      const text = (await document(t, path)).text.replaceAll(`${on.url}/claim?t=...`, verification_uri);
      const urls = [...text.matchAll(/https?:\/\/[^\s"'`<>()[\]]+/g)].map(([url]) =>
        url.replace(/[.,;:]+$/, ''),
      );
      const paths = [...text.matchAll(/`(\/[\w/.-]+)`/g)].map(([, each]) => on.url + each);
      if (path === PATHS.agentConfiguration) paths.push(...endpointsIn(text));
      for (const url of [...urls, ...paths]) {
        if (foreign.has(url)) continue;
        t.true(url === on.url || url.startsWith(`${on.url}/`), `${path} names ${url}, which is not ours`);
        followed.add(url);
      }
    }
    for (const url of followed) {
      const query = url.endsWith(PATHS.capabilityDescribe) ? '?name=read' : '';
      const path = url.slice(on.url.length) + query || '/';
      const { status } = await on.get(path);
      // It wants the parameters of an authorization request.
      if (path === PATHS.authorize) t.is(status, 400);
      else t.true([200, 303, 401, 405].includes(status), `${url} answers ${status}`);
    }
    // llms.txt and the document of OpenID Connect are found by their names; an app is led to the page of the consent; an alias is for who knows it.
    const unnamed = new Set<string>([
      PATHS.llmsTxt,
      PATHS.interaction,
      PATHS.openidConfiguration,
      PATHS.registerClientAlias,
    ]);
    for (const path of Object.values(PATHS).filter((each) => !unnamed.has(each))) {
      t.true(
        [...followed].some((url) => url.startsWith(on.url + path)),
        `no document names ${path}`,
      );
    }
  });

  test('the endpoints of the metadata take the methods they are for', async (t) => {
    const { body } = await document(t, PATHS.authorizationServer);
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
      t.deepEqual([reply.status, reply.headers.get('allow')], [405, 'POST'], url);
    }
    t.is((await document(t, body.agent_auth.skill.slice(on.url.length))).status, 200);
    t.is((await document(t, body.jwks_uri.slice(on.url.length))).body.keys.length, 1);
  });

  test('whom the service trusts stands in no document', async (t) => {
    for (const { path } of open) {
      const { text } = await on.get(path);
      for (const name of [TRUSTED.issuer, 'agents.example', `"${TRUSTED.displayName}"`]) {
        t.false(text.includes(name), `${path} names ${name}`);
      }
    }
  });

  test('the front door leads to auth.md', async (t) => {
    const reply = await on.get('/');
    t.deepEqual([reply.status, reply.headers.get('location')], [303, `${on.url}/auth.md`]);
  });

  test('documents have their media types, may be cached and be read by any web page, without credentials', async (t) => {
    const types: Record<string, string> = {
      [PATHS.authMd]: 'text/markdown; charset=utf-8',
      [PATHS.llmsTxt]: 'text/plain; charset=utf-8',
    };
    /** Files of the pages: by their end, since the path of most has a hash in it. */
    const endings: Record<string, string> = {
      css: 'text/css; charset=utf-8',
      js: 'text/javascript; charset=utf-8',
      svg: 'image/svg+xml',
      txt: 'text/plain; charset=utf-8',
      woff2: 'font/woff2',
    };
    const isImmutable = (path: string) => /^\/assets\/[\w-]+\.[0-9a-f]{12}\.\w+$/.test(path);
    for (const { path } of open) {
      for (const origin of [undefined, 'https://app.example', 'null']) {
        const reply = await on.request('GET', path, {
          headers: origin === undefined ? {} : { Origin: origin },
        });
        t.is(reply.headers.get('access-control-allow-origin'), '*', path);
        t.is(reply.headers.get('access-control-allow-credentials'), null, path);
        const cached = isImmutable(path) ? 'public, max-age=31536000, immutable' : 'public, max-age=300';
        t.is(reply.headers.get('cache-control'), cached, path);
        t.is(reply.headers.get('x-content-type-options'), 'nosniff', path);
        if (path !== '/') {
          const ofFile = path.startsWith('/assets/') ? endings[path.split('.').at(-1)!] : undefined;
          const type = types[path] ?? ofFile ?? 'application/json; charset=utf-8';
          t.is(reply.headers.get('content-type'), type, path);
        }
      }
      const asked = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET' };
      const preflight = await on.request('OPTIONS', path, { headers: asked });
      t.is(preflight.status, 204, path);
      t.is(preflight.headers.get('access-control-allow-origin'), '*', path);
      t.regex(preflight.headers.get('access-control-allow-methods') ?? '', /\bGET\b/, path);
      t.regex(preflight.headers.get('access-control-allow-headers') ?? '', /mcp-protocol-version/, path);
      const head = await on.request('HEAD', path);
      t.is(head.text, '', path);
    }
  });

  test('nothing else may be read by web pages or kept by caches', async (t) => {
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
          for (const [name] of reply.headers) t.notRegex(name, /^access-control-/, about);
          t.is(reply.headers.get('cache-control'), 'no-store', about);
          if (asked === 'OPTIONS') t.is(reply.status, 405, about);
        }
      }
    }
  });

  /** All of the metadata, of a service with or without agent providers that it trusts. */
  const metadataOf = ({ url }: TestService, resources: readonly string[], hasIssuers: boolean) => ({
    issuer: url,
    token_endpoint: `${url}/oauth2/token`,
    token_endpoint_auth_methods_supported: [
      'none',
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
    ],
    token_endpoint_auth_signing_alg_values_supported: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
    authorization_endpoint: `${url}/oauth2/authorize`,
    pushed_authorization_request_endpoint: `${url}/oauth2/par`,
    authorization_response_iss_parameter_supported: true,
    authorization_details_types_supported: ['workspace'],
    registration_endpoint: `${url}/oauth2/register`,
    client_id_metadata_document_supported: true,
    device_authorization_endpoint: `${url}/oauth2/device_authorization`,
    userinfo_endpoint: `${url}/oauth2/userinfo`,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      DEVICE_GRANT,
      JWT_BEARER,
      CLAIM_GRANT,
    ],
    ...(hasIssuers && {
      authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
    }),
    dpop_signing_alg_values_supported: ['ES256', 'Ed25519', 'EdDSA'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    jwks_uri: `${url}/.well-known/jwks.json`,
    introspection_endpoint: `${url}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    introspection_signing_alg_values_supported: ['ES256'],
    revocation_endpoint: `${url}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: ['none'],
    scopes_supported: ['openid', 'offline_access', 'email', 'profile', 'read', 'write'],
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
      permissions_endpoint: `${url}/agent/permissions`,
      capability_prefix: 'vouchsafe',
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

  test('the metadata of the authorization server says what there is, the block for agents included', async (t) => {
    const resources = RESOURCES.map(({ url }) => url);
    t.deepEqual((await document(t, PATHS.authorizationServer)).body, metadataOf(on, resources, true));
  });

  test('who trusts no agent provider says nothing of them', async (t) => {
    const alone = await startTestService('sqlite');
    t.teardown(() => alone.stop());
    const { body, text } = await alone.get(PATHS.authorizationServer);
    t.deepEqual(body, metadataOf(alone, [alone.url], false));
    t.notRegex(text, /id-jag|revocation_uri|events_endpoint/);
    const word = { type: 'identity_assertion', assertion_type: ID_JAG, assertion: WORD_OF_A_STRANGER };
    const reply = await alone.post('/agent/identity', word);
    t.deepEqual([reply.status, reply.body.error], [400, 'invalid_issuer']);
  });

  test('a grant is taken where it is named, and nowhere else', async (t) => {
    for (const [claimMode, grants] of [
      ['both', [JWT_BEARER, CLAIM_GRANT]],
      ['typed', [JWT_BEARER, CLAIM_GRANT]],
      ['reveal', [JWT_BEARER]],
    ] as const) {
      const each = await startWith({ claimMode });
      t.teardown(() => each.stop());
      const all = ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_GRANT, ...grants];
      t.deepEqual((await each.get(PATHS.authorizationServer)).body.grant_types_supported, all);
      for (const [grant_type, known] of [
        [JWT_BEARER, 'invalid_grant'],
        [CLAIM_GRANT, 'expired_token'],
        ['authorization_code', 'invalid_request'],
        ['refresh_token', 'invalid_request'],
        ['client_credentials', 'invalid_request'],
        [DEVICE_GRANT, 'invalid_request'],
      ] as const) {
        const reply = await each.form('/oauth2/token', { grant_type, assertion: 'x', claim_token: 'x' });
        const isNamed = all.some((grant) => grant === grant_type);
        const said = [reply.status, reply.body.error];
        t.deepEqual(said, [400, isNamed ? known : 'unsupported_grant_type'], `${claimMode} ${grant_type}`);
      }
    }
  });

  test('the metadata is found in every place where clients look: at the root, behind another slash, at the paths of our resources', async (t) => {
    const PUBLIC_URL = 'http://localhost:4321'; // the paths follow from the name; the port is any
    const resources = ['/mcp', '/v1/files/', '/'].map((path) => ({ url: PUBLIC_URL + path, name: path }));
    const elsewhere = { url: 'https://api.example.com/elsewhere', name: 'Elsewhere' };
    const each = await startWith({ resources: [...resources, elsewhere] }, { PUBLIC_URL });
    t.teardown(() => each.stop());
    const at = (path: string) => send(each, 'GET', path);
    const { text, body } = await at(PATHS.authorizationServer);
    t.is(body.issuer, PUBLIC_URL);
    for (const path of [
      '//.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/mcp',
      '/mcp/.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/v1/files/',
      '/v1/files/.well-known/oauth-authorization-server',
    ]) {
      const reply = await at(path);
      t.deepEqual([reply.status, reply.text], [200, text], path);
      t.is(reply.headers.get('access-control-allow-origin'), '*', path);
    }
    for (const path of [
      '///.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/',
      '/.well-known/oauth-authorization-server/elsewhere',
      '/elsewhere/.well-known/oauth-authorization-server',
      '/v1/.well-known/oauth-authorization-server',
      '//.well-known/jwks.json',
    ]) {
      t.is((await at(path)).status, 404, path);
    }
  });

  test('the key set has public keys alone, and verifies what is signed here', async (t) => {
    const { body } = await document(t, PATHS.jwks);
    t.deepEqual(Object.keys(body), ['keys']);
    for (const key of body.keys) {
      t.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      t.deepEqual([key.kty, key.crv, key.alg, key.use], ['EC', 'P-256', 'ES256', 'sig']);
      t.is(key.kid, await calculateJwkThumbprint(key));
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

  test('each resource has its document below its own path, the first one at the root too', async (t) => {
    const first = {
      resource: 'https://api.example.com/mcp',
      resource_name: 'API',
      resource_documentation: 'https://docs.example.com/api',
      authorization_servers: [on.url],
      scopes_supported: ['read'],
      bearer_methods_supported: ['header'],
    };
    t.deepEqual((await document(t, METADATA)).body, first);
    t.deepEqual((await document(t, `${METADATA}/mcp`)).body, first);
    t.deepEqual((await document(t, `${METADATA}/v1/files`)).body, {
      resource: 'https://files.example.com/v1/files',
      resource_name: 'Files',
      authorization_servers: [on.url],
      scopes_supported: ['read', 'write'],
      bearer_methods_supported: ['header'],
    });
    for (const path of [`${METADATA}/v1`, `${METADATA}/`, `${METADATA}/mcp/`]) {
      t.is((await on.get(path)).status, 404, path);
    }
  });

  test('no document has a member without a value', async (t) => {
    const walk = (value: unknown, at: string): void => {
      t.not(value, null, `${at} is null`);
      t.not(value, '', `${at} is empty`);
      if (typeof value === 'object')
        for (const [name, each] of Object.entries(value!)) walk(each, `${at}.${name}`);
    };
    for (const { path } of open) {
      const { text, body, headers } = await on.get(path);
      if (headers.get('content-type')?.startsWith('application/json')) walk(body, path);
      if (!/\.(woff2|txt|js)$/.test(path)) t.notRegex(text, /\{\{|\}\}\}|undefined|\[object|NaN/, path);
    }
  });

  test('no header of a request changes a URL that we write', async (t) => {
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
        t.deepEqual([reply.status, reply.text], [plain.status, plain.text], `${path} as ${host}`);
        t.is(reply.headers.get('location'), plain.headers.get('location'));
      }
    }
    const refusal = await send(on, 'GET', '/api/me', [...evil, ['Host', `127.0.0.1:${port}`]]);
    t.is(
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
      t.true(url.startsWith(`${on.url}/claim/deny?t=d.`), url);
    }
    t.truthy(verification_uri.startsWith(`${on.url}/claim?t=v.`), verification_uri);
    t.true(urls.includes(verification_uri), 'the mail leads to the page that the agent names');
    t.false(JSON.stringify(mail).includes('evil'));
    t.false(JSON.stringify(mail).includes('1.2.x.x'));
  });

  test('llms.txt begins as the format wants it: a title, a summary, links', async (t) => {
    const { text } = await document(t, PATHS.llmsTxt);
    t.regex(
      text,
      /^# Acme\n\n> .+\n\nHave you a key .+\n\n(- \[.+\]\(.+\): .+\n)+\n## .+\n\n(- \[.+\]\(.+\): .+\n)+$/,
    );
  });
});
