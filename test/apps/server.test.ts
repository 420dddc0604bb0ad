import type { ExecutionContext } from 'ava';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { createClient } from '../../src/domain/apps/create-client.ts';
import { rotateSigningKeys } from '../../src/domain/credentials/signing-keys.ts';
import { unavailable } from '../../src/errors.ts';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { PATHS } from '../../src/http/server/paths.ts';
import { localOrigin } from '../../src/work.ts';
import { startAlternatingProxy } from '../helpers/alternating-proxy.ts';
import { addApi, until } from '../helpers/api.ts';
import {
  type App,
  answerOf,
  askFor,
  decide,
  getCode,
  newHuman,
  REDIRECT,
  redeem,
  refresh,
  registerApp,
} from '../helpers/app-client.ts';
import type { Browser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { startClientHost } from '../helpers/client-host.ts';
import { newClientKey, proveKey } from '../helpers/client-proofs.ts';
import { bearer } from '../helpers/common.ts';
import {
  basic,
  createTestDatabase,
  type Reply,
  startTestService,
  type TestService,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertHeaders, assertPage, send, sendRaw } from '../helpers/wire.ts';

/** The authorization server as a whole: its URLs, its failures, its keys and its replicas. */

onEveryEngine('the authorization server', (engine, test) => {
  let on: TestService;
  let fault: Error | undefined;
  test.before(async () => {
    on = await startTestService(engine, {
      // The database is away for what the authorization server stores, and for nothing else.
      wrapDb: (db) => ({
        ...db,
        get: (sql, params) =>
          fault !== undefined && /\boauth_/.test(sql) ? Promise.reject(fault) : db.get(sql, params),
      }),
    });
  });
  test.after(() => on.stop());

  test('both documents state the same facts, and name nothing that is not served', async (t) => {
    const { body: server } = await on.get(PATHS.authorizationServer);
    const { body: openid } = await on.get(PATHS.openidConfiguration);
    for (const [name, value] of Object.entries(server)) t.deepEqual(openid[name], value, name);
    const added = Object.keys(openid).filter((name) => !(name in server));
    t.true(
      added.every((name) => /^(?:claims|request|acr|prompt|end_session)_/.test(name)),
      added.join(),
    );
    for (const [name, value] of Object.entries<unknown>(openid)) {
      if (!/_(?:endpoint|uri)$/.test(name)) continue;
      const reply = await on.get(String(value).slice(on.url.length));
      t.not(reply.status, 404, name);
    }
    t.deepEqual(openid.code_challenge_methods_supported, ['S256']);
    t.false(JSON.stringify(openid).includes('"plain"') || JSON.stringify(openid).includes('HS256'));
  });

  test('the issuer is the same to the byte wherever it stands', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const page = await browser.get(askFor(app, { scope: 'openid read' }).path);
    const back = await decide(browser, page, 'approve');
    const got = await getCode(on, app, { query: { scope: 'openid' }, boxes: [], browser });
    const { body } = await redeem(on, app, got);
    const claims = JSON.parse(Buffer.from(body.id_token.split('.')[1], 'base64url').toString());
    const named = [
      (await on.get(PATHS.authorizationServer)).body.issuer,
      (await on.get(PATHS.openidConfiguration)).body.issuer,
      ...(await on.get(PATHS.protectedResource)).body.authorization_servers,
      answerOf(back).iss,
      claims.iss,
    ];
    t.deepEqual(
      named,
      named.map(() => on.url),
    );
  });

  test('no header and no target of a request changes a URL that it writes', async (t) => {
    const { port, host } = new URL(on.url);
    const lies = [
      ['X-Forwarded-Host', 'evil.example'],
      ['X-Forwarded-Proto', 'https'],
      ['Forwarded', 'host=evil.example;proto=https'],
      ['Host', `127.0.0.1:${port}`],
    ] as const;
    const metadata = JSON.stringify({ redirect_uris: ['https://app.example/callback'] });
    const type = ['Content-Type', 'application/json'] as const;
    const registered = await send(on, 'POST', PATHS.registerClient, [...lies, type], metadata);
    t.is(registered.status, 201, registered.text);
    t.true(registered.body.registration_client_uri.startsWith(`${on.url}/oauth2/register/`));
    const app = { clientId: registered.body.client_id, secret: undefined, registered: {} };
    const { path } = askFor(app, { scope: 'read' });
    const error = askFor(app, { code_challenge_method: 'plain' }).path;
    for (const target of [path, `${on.url}${path}`, `http://127.0.0.1:${port}${path}`]) {
      const asked = await send(on, 'GET', target, lies);
      t.is(asked.status, 303, asked.text);
      const { origin, pathname } = new URL(asked.headers.get('location')!, on.url);
      t.is(origin, on.url);
      t.regex(pathname, /^\/authorize\/[\w-]+$/);
    }
    const refused = await send(on, 'GET', error, lies);
    const [, link] = /<a class="button main full" href="([^"]+)"/.exec(refused.text)!;
    t.is(new URL(link!.replaceAll('&amp;', '&')).searchParams.get('iss'), on.url);
    const info = await send(on, 'GET', PATHS.userinfo, lies);
    t.is(info.status, 401, info.text);
    t.false(`${info.text}${info.headers.get('www-authenticate')}`.includes('evil'));
    for (const foreign of ['http://evil.example', 'https://evil.example']) {
      const raw = await sendRaw(
        on,
        `GET ${foreign}${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      );
      t.regex(raw, /^HTTP\/1\.1 4(?:00|21) /);
      t.false(raw.includes('Location'));
    }
  });

  test('web pages of any origin may call what apps call, without credentials of the browser, and nothing else', async (t) => {
    const open = [
      ['POST', PATHS.token],
      ['POST', PATHS.revoke],
      ['POST', PATHS.registerClient],
      ['GET', PATHS.userinfo],
    ] as const;
    for (const origin of ['https://app.example', 'null']) {
      for (const [method, path] of open) {
        const preflight = await on.request('OPTIONS', path, {
          headers: {
            Origin: origin,
            'Access-Control-Request-Method': method,
            'Access-Control-Request-Headers': 'authorization, content-type, mcp-protocol-version',
          },
        });
        t.is(preflight.status, 204, path);
        const allowed = preflight.headers.get('access-control-allow-headers')!.toLowerCase();
        for (const name of ['authorization', 'content-type', 'mcp-protocol-version'])
          t.true(allowed.includes(name), `${path} ${name}`);
        const reply = await on.request(method, path, { headers: { Origin: origin } });
        for (const { headers } of [preflight, reply]) {
          t.is(headers.get('access-control-allow-origin'), '*', path);
          t.is(headers.get('access-control-allow-credentials'), null, path);
        }
      }
      for (const [method, path] of [
        ['GET', PATHS.authorize],
        ['POST', PATHS.introspect],
      ] as const) {
        const reply = await on.request(method, path, { headers: { Origin: origin } });
        t.is(reply.headers.get('access-control-allow-origin'), null, path);
      }
    }
  });

  test('storage that fails is a 503 in JSON with request id and all headers, on a page a page', async (t) => {
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'openid read' } });
    const rat = app.registered.registration_access_token;
    const redeemed = await redeem(on, app, await getCode(on, app, { query: { scope: 'read' } }));
    const ask: Record<string, () => Promise<Reply>> = {
      code: () => redeem(on, app, got),
      refresh: () => refresh(on, app, redeemed.body.refresh_token),
      registration: () =>
        on.request('GET', `${PATHS.registerClient}/${app.clientId}`, { headers: bearer(rat) }),
    };
    for (fault of [unavailable(new Error('gone')), new Error('a fault of the storage')]) {
      for (const [name, request] of Object.entries(ask)) {
        const reply = await request();
        t.deepEqual([reply.status, reply.body.error], [503, 'temporarily_unavailable'], name);
        t.is(reply.headers.get('content-type'), 'application/json; charset=utf-8', name);
        assertHeaders(t, reply, name);
        t.truthy(reply.headers.get('x-request-id'), name);
        t.truthy(reply.headers.get('retry-after'), name);
        t.false(reply.text.includes('storage'), name);
      }
    }
    fault = unavailable(new Error('gone'));
    const page = await on.get(askFor(app, { scope: 'read' }).path);
    fault = undefined;
    t.is(page.status, 503);
    assertPage(t, page, 'authorize');
    t.is((await redeem(on, app, got)).status, 200, 'nothing was changed');
  });

  test('keys are rotated while a human decides: the flow goes on, and the ID token verifies', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const asked = askFor(app, { scope: 'openid read' });
    const page = await browser.get(asked.path);
    const { kid } = await rotateSigningKeys(on.service.deps, localOrigin('test'), true);
    const back = await decide(browser, page, 'approve');
    const reply = await redeem(on, app, { code: answerOf(back).code!, asked });
    t.is(reply.status, 200, reply.text);
    t.is(
      decodeProtectedHeader(reply.body.id_token).kid,
      kid,
      'the key that was withdrawn signs nothing more',
    );
    await assertSigned(t, on, reply.body.id_token);
    const next = await refresh(on, app, reply.body.refresh_token);
    t.is(decodeProtectedHeader(next.body.id_token).kid, kid);
  });
});

onEveryEngine('the keys of ID tokens', (engine, test) => {
  test('the next one signs from its time on, in a running process too; both are published', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'openid read' } });
    let latest = (await redeem(on, app, got)).body;
    const kidOf = ({ id_token }: { id_token: string }) => decodeProtectedHeader(id_token).kid;
    const old = kidOf(latest);
    const next = await rotateSigningKeys(on.service.deps, localOrigin('test'), false);
    t.not(next.kid, old);
    for (const [seconds, kid] of [
      [0, old],
      [(next.usedFrom - on.clock()) / 1000, next.kid],
    ] as const) {
      on.clock.advance(seconds);
      latest = (await refresh(on, app, latest.refresh_token)).body;
      t.is(kidOf(latest), kid);
      await assertSigned(t, on, latest.id_token, Date.now()); // oidc-provider has a clock of its own
    }
  });
});

async function assertSigned(
  t: ExecutionContext,
  on: TestService,
  token: string,
  now = on.clock(),
): Promise<void> {
  const keys = createLocalJWKSet((await on.get(PATHS.jwks)).body);
  const { payload } = await jwtVerify(token, keys, { issuer: on.url, currentDate: new Date(now) });
  t.is(payload.iss, on.url);
}

onEveryEngine('two replicas', (engine, test) => {
  if (engine !== 'postgres') return; // SQLite belongs to one process

  test('serve halves of one flow: registration, sign-in, consent, code, refresh, device, pushed request and end', async (t) => {
    const database = await createTestDatabase(engine);
    const services: TestService[] = [];
    const proxy = await startAlternatingProxy(() => services.map(({ url }) => url));
    const env = { PUBLIC_URL: proxy.url };
    const first = await startTestService(engine, { database, env });
    services.push(first);
    services.push(await startTestService(engine, { database, env, clock: first.clock, postbox: first }));
    t.teardown(async () => {
      proxy.close();
      await Promise.all(services.map((each) => each.stop()));
      await database.drop();
    });
    const on = throughProxy(first, proxy.url);
    const api = await addApi(on);
    // An odd number of requests between two steps would keep one step with one replica: both orders are played.
    for (let shift = 0; shift < 2; shift += 1) {
      if (shift === 1) await on.get('/.well-known/jwks.json');
      const app = await registerApp(on, { grant_types: [...GRANTS, DEVICE_GRANT] });
      const got = await getCode(on, app, { query: { scope: 'openid read', resource: api.resource } });
      const redeemed = await redeem(on, app, got);
      t.is(redeemed.status, 200, redeemed.text);
      await assertSigned(t, on, redeemed.body.id_token);
      t.true(await api.isActive(redeemed.body.access_token));
      const next = await refresh(on, app, redeemed.body.refresh_token);
      t.is(next.status, 200, next.text);
      const device = await connectDevice(on, app, got.browser, api.resource);
      t.is(device.status, 200, device.text);
      t.true(await api.isActive(device.body.access_token));
      const pushed = await pushAndRedeem(on, app, got.browser, api.resource);
      t.is(pushed.status, 200, pushed.text);
      const rat = bearer(app.registered.registration_access_token);
      const path = `${PATHS.registerClient}/${app.clientId}`;
      t.is((await on.request('GET', path, { headers: rat })).status, 200);
      t.is((await on.request('DELETE', path, { headers: rat })).status, 204);
      for (const { body } of [next, device, pushed]) t.false(await api.isActive(body.access_token));
    }
    t.true(
      proxy.counts().every((count) => count > 10),
      proxy.counts().join(),
    );
  });

  test('a nonce for proofs that one gives is taken by the other, and a proof is used once at both', async (t) => {
    const database = await createTestDatabase(engine);
    const env = { PUBLIC_URL: 'http://localhost:3000' };
    const first = await startTestService(engine, { database, env });
    const second = await startTestService(engine, { database, env, clock: first.clock, postbox: first });
    t.teardown(async () => {
      await Promise.all([first.stop(), second.stop()]);
      await database.drop();
    });
    const { resource } = await addApi(first);
    const { client, secret } = await createClient(first.service.deps, localOrigin('test'), {
      name: 'Job',
      redirectUris: [],
      authMethod: 'client_secret_basic',
      grantTypes: ['client_credentials'],
      scopes: undefined,
    });
    const key = await newClientKey();
    const url = `${env.PUBLIC_URL}${PATHS.token}`;
    const ask = async (on: TestService, claims: Record<string, unknown>, dpop?: string) =>
      on.form(
        PATHS.token,
        { grant_type: 'client_credentials', resource },
        {
          ...basic(client.id, secret!),
          DPoP: dpop ?? (await proveKey(key, { method: 'POST', url }, claims)),
        },
      );
    for (const [from, to] of [
      [first, second],
      [second, first],
    ] as const) {
      const late = await ask(from, { iat: 1 });
      t.like(late, { status: 400, body: { error: 'use_dpop_nonce' } });
      const nonce = late.headers.get('dpop-nonce')!;
      const proof = await proveKey(key, { method: 'POST', url }, { iat: 1, nonce });
      t.is((await ask(to, {}, proof)).status, 200);
      for (const on of [from, to]) {
        t.like(await ask(on, {}, proof), { status: 400, body: { error: 'invalid_grant' } });
      }
    }
  });
});

onEveryEngine('two replicas that fetch one new document at once', (engine, test) => {
  if (engine !== 'postgres') return; // SQLite belongs to one process

  test('register its client once', async (t) => {
    const database = await createTestDatabase(engine);
    const first = await startTestService(engine, { database });
    const second = await startTestService(engine, { database, clock: first.clock, postbox: first });
    const host = await startClientHost();
    t.teardown(async () => {
      host.stop();
      await Promise.all([first.stop(), second.stop()]);
      await database.drop();
    });
    for (const each of [first, second]) host.connect(each);
    for (let round = 0; round < 5; round += 1) {
      const path = `/client${round}.json`;
      const client_id = host.urlOf(path);
      host.publish(path, { client_id, redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' });
      const release = host.hold(path);
      const app = { clientId: client_id, secret: undefined, registered: {} };
      const asking = [first, second].map((each) => each.get(askFor(app, { scope: 'read' }).path));
      let isOver = false;
      const asked = Promise.all(asking).finally(() => {
        isOver = true;
      });
      await until(() => isOver || host.asked.filter((each) => each === path).length === 2);
      release();
      for (const reply of await asked) t.is(reply.status, 303, reply.text);
      for (const kind of ['registered', 'changed']) {
        const condition = `events WHERE kind = 'client.${kind}' AND subject = ?`;
        t.is(await countOf(first, condition, [client_id]), kind === 'registered' ? 1 : 0);
      }
    }
  });
});

const GRANTS = ['authorization_code', 'refresh_token'];

/** A human connects a device of an app, which gets its tokens. */
async function connectDevice(on: TestService, app: App, browser: Browser, resource: string): Promise<Reply> {
  const asked = { client_id: app.clientId, scope: 'read', resource };
  const { device_code, user_code } = (await on.form(PATHS.deviceAuthorization, asked)).body;
  await browser.get('/connect');
  await browser.post('/connect', { code: user_code });
  const decision = { 'scope:read': 'on', decision: 'approve' };
  await browser.post('/connect/device', { ...browser.form('/connect/device'), ...decision });
  return on.form(PATHS.token, { grant_type: DEVICE_GRANT, device_code, client_id: app.clientId });
}

/** An app pushes its request, and redeems the code that came of it. */
async function pushAndRedeem(on: TestService, app: App, browser: Browser, resource: string): Promise<Reply> {
  const asked = askFor(app, { scope: 'read', resource });
  const form = Object.fromEntries(new URL(asked.path, on.url).searchParams);
  const { request_uri } = (await on.form(PATHS.pushRequest, form)).body;
  const query = new URLSearchParams({ client_id: app.clientId, request_uri });
  const back = await decide(browser, await browser.get(`${PATHS.authorize}?${query}`), 'approve');
  return redeem(on, app, { code: answerOf(back).code!, asked });
}

/** A service as it is seen through a proxy. */
function throughProxy(service: TestService, url: string): TestService {
  async function request(method: string, path: string, init: RequestInit = {}): Promise<Reply> {
    const response = await fetch(url + path, { redirect: 'manual', ...init, method });
    const text = await response.text();
    const body = text.startsWith('{') ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, text, body };
  }
  return {
    ...service,
    url,
    request,
    get: (path, key) => request('GET', path, { headers: key === undefined ? {} : bearer(key) }),
    post: (path, body) =>
      request('POST', path, {
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
      }),
    form: (path, body, headers = {}) => request('POST', path, { body: new URLSearchParams(body), headers }),
  };
}
