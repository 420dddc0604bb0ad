import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createSafeFetch } from '../../src/lib/safe-fetch.ts';
import { createStrangerFetch } from '../../src/lib/stranger-fetch.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { type App, askFor, getCode, newHuman, REDIRECT, redeem, refresh } from '../helpers/app-client.ts';
import { type ClientHost, startClientHost } from '../helpers/client-host.ts';
import { atOnce } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

type Key = Parameters<SignJWT['sign']>[0];

/** A client whose id is the URL of the document that it publishes. */
const appAt = (clientId: string): App => ({ clientId, secret: undefined, registered: {} });

onEveryEngine('clients that publish their metadata', (engine, test) => {
  let on: TestService;
  let host: ClientHost;
  let api: Api;
  let count = 0;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
    host = await startClientHost();
    host.connect(on);
  });
  test.after(async () => {
    host.stop();
    await on.stop();
  });

  /** Publishes a document at a URL of its own. */
  function publish(
    more: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    path = newPath(),
  ) {
    const document = {
      client_id: host.urlOf(path),
      client_name: 'Marlin Editor',
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: 'none',
      ...more,
    };
    return { path, app: appAt(host.publish(path, document, headers)) };
  }
  const newPath = () => {
    count += 1;
    return `/clients/${count}.json`;
  };
  const fetched = (path: string) => host.asked.filter((each) => each === path).length;
  const ask = async (app: App, query: Record<string, string> = {}) => {
    const { browser } = await newHuman(on);
    return browser.get(askFor(app, { scope: 'read', ...query }).path);
  };

  test('need no registration: the page names the host of the document, and a token introspects with its URL', async (t) => {
    const { app } = publish();
    const page = await ask(app);
    t.regex(page.text, /client\.example/);
    const reply = await redeem(
      on,
      app,
      await getCode(on, app, { query: { scope: 'read', resource: api.resource } }),
    );
    t.is(reply.status, 200, reply.text);
    t.is((await api.verifier().verify(reply.body.access_token)).clientId, app.clientId);
    t.is((await refresh(on, app, reply.body.refresh_token)).status, 200);
  });

  test('are fetched once while they are fresh: a minute at least, a day at most', async (t) => {
    for (const [maxAge, freshSeconds] of [
      ['max-age=0', 59],
      ['max-age=600', 599],
      ['max-age=9999999', 86_399],
    ] as const) {
      const { app, path } = publish({}, { 'Cache-Control': maxAge });
      const { browser } = await newHuman(on);
      const again = async () => browser.get(askFor(app, { scope: 'read' }).path);
      t.is((await again()).status, 200);
      t.is((await again()).status, 200);
      t.is(fetched(path), 1, maxAge);
      on.clock.advance(freshSeconds);
      await again();
      t.is(fetched(path), 1, maxAge);
      on.clock.advance(2);
      await again();
      t.is(fetched(path), 2, maxAge);
    }
  });

  test('of 20 requests at once one fetches', async (t) => {
    const { app, path } = publish();
    const { browser } = await newHuman(on);
    const pages = await atOnce(20, () => browser.get(askFor(app, { scope: 'read' }).path));
    t.true(pages.every(({ status }) => status === 200));
    t.is(fetched(path), 1);
  });

  test('stay as they are for a day while their host does not answer, and no longer', async (t) => {
    const { app, path } = publish();
    const got = await getCode(on, app, { query: { scope: 'read' } });
    const first = await redeem(on, app, got);
    host.publish(path, {}, {}, 503);
    on.clock.advance(3600);
    const next = await refresh(on, app, first.body.refresh_token);
    t.is(next.status, 200, next.text);
    on.clock.advance(86_400);
    const late = await refresh(on, app, next.body.refresh_token);
    t.deepEqual([late.status, late.body.error], [401, 'invalid_client']);
  });

  test('are refused as one, whatever is wrong, and ask nobody', async (t) => {
    const refused: Record<string, () => string> = {
      'another client_id': () => publish({ client_id: 'https://client.example/other' }).app.clientId,
      'no client_id': () => publish({ client_id: undefined }).app.clientId,
      'a secret': () => publish({ client_secret: 'x' }).app.clientId,
      'a shared secret': () => publish({ token_endpoint_auth_method: 'client_secret_basic' }).app.clientId,
      'no redirect': () => publish({ redirect_uris: [] }).app.clientId,
      'plain http': () => publish({ redirect_uris: [REDIRECT, 'http://app.example/cb'] }).app.clientId,
      javascript: () => publish({ redirect_uris: [REDIRECT, 'javascript:alert(1)'] }).app.clientId,
      'a fragment': () => publish({ redirect_uris: [`${REDIRECT}#x`] }).app.clientId,
      'keys at plain http': () => publish({ jwks_uri: 'http://client.example/keys' }).app.clientId,
      'a redirect of the document': () => host.publish(newPath(), {}, { Location: '/x' }, 302),
      'no document': () => host.urlOf(newPath()),
      'more than 5 KB': () => publish({ x: 'x'.repeat(5200) }).app.clientId,
      'no JSON': () => host.publish(newPath(), '{'),
      'a list': () => host.publish(newPath(), []),
      'a member twice': () => host.publish(newPath(), '{"client_id":"a","client_id":"b"}'),
      HTML: () => publish({}, { 'Content-Type': 'text/html' }).app.clientId,
      'a private address': () => 'https://inside.example/client.json',
      'an address in place of a name': () => 'https://127.0.0.1/client.json',
      'another port': () => 'https://client.example:8443/client.json',
      'no path': () => 'https://client.example/',
      'a user': () => 'https://a@client.example/client.json',
      'dot segments': () => 'https://client.example/a/../client.json',
      'a fragment in the id': () => 'https://client.example/client.json#a',
    };
    const { browser } = await newHuman(on);
    const texts = new Set<string>();
    for (const [name, make] of Object.entries(refused)) {
      const clientId = make();
      const page = await browser.get(askFor(appAt(clientId), { scope: 'read' }).path);
      t.is(page.status, 400, name);
      t.true(page.path.startsWith('/oauth2/authorize?'), name);
      texts.add(page.text.replace(/req_\w+/g, '').replace(/client_id=[^&"]*/g, ''));
      const { status, body } = await redeem(on, appAt(clientId), {
        code: 'x',
        asked: askFor(appAt(clientId)),
      });
      t.deepEqual([status, body.error], [401, 'invalid_client'], name);
    }
    t.is(texts.size, 1);
  });

  test('follow the rules of redirects that registered clients follow', async (t) => {
    const { app } = publish({
      redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/', 'cursor://a/b'],
    });
    for (const redirect_uri of ['http://localhost:3118/callback', 'http://127.0.0.1:4711/', 'cursor://a/b'])
      t.is((await ask(app, { redirect_uri })).status, 200, redirect_uri);
    for (const redirect_uri of ['http://localhost:3118/other', 'https://localhost/callback', 'cursor://a/c'])
      t.is((await ask(app, { redirect_uri })).status, 400, redirect_uri);
  });

  test('give themselves no grant without a human', async (t) => {
    const { app } = publish({ grant_types: ['client_credentials', 'authorization_code', null, 'urn:x'] });
    t.is((await ask(app)).status, 200);
    const form = { grant_type: 'client_credentials', client_id: app.clientId };
    const { status, body } = await on.form('/oauth2/token', form);
    t.is(status, 400);
    t.regex(body.error, /^(?:unsupported_grant_type|unauthorized_client)$/);
  });

  test('lose their consents when redirects, keys or authentication change, and not for a new name', async (t) => {
    const changes: [string, Record<string, unknown>, boolean][] = [
      ['name', { client_name: 'Another' }, true],
      ['redirects', { redirect_uris: [REDIRECT, 'https://app.example/other'] }, false],
      ['keys', { jwks_uri: 'https://client.example/keys' }, false],
      [
        'authentication',
        { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'https://client.example/keys' },
        false,
      ],
    ];
    for (const [name, change, isKept] of changes) {
      const { app, path } = publish();
      const query = { scope: 'read', resource: api.resource };
      const { body } = await redeem(on, app, await getCode(on, app, { query }));
      publish(change, {}, path);
      on.clock.advance(61);
      await ask(app);
      const token = api.verifier().verify(body.access_token);
      if (isKept) t.is((await token).clientId, app.clientId, name);
      else await t.throwsAsync(token, { code: 'invalid_token' }, name);
      if (name !== 'authentication') {
        t.is((await refresh(on, app, body.refresh_token)).status, isKept ? 200 : 400, name);
      }
    }
  });

  test('sign in by their own key, at jwks_uri or in the document, and by no other', async (t) => {
    const [own, other] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
    const keys = { keys: [{ ...(await exportJWK(own.publicKey)), kid: 'a', alg: 'ES256' }] };
    const jwks_uri = host.publish('/keys.json', keys);
    for (const how of [{ jwks_uri }, { jwks: keys }]) {
      const { app } = publish({ token_endpoint_auth_method: 'private_key_jwt', ...how });
      const got = await getCode(on, app, { query: { scope: 'read' } });
      const sign = (key: Key) =>
        new SignJWT({})
          .setProtectedHeader({ alg: 'ES256', kid: 'a' })
          .setIssuer(app.clientId)
          .setSubject(app.clientId)
          .setAudience(on.url)
          .setJti(randomUUID())
          .setIssuedAt(Math.floor(on.clock() / 1000))
          .setExpirationTime(Math.floor(on.clock() / 1000) + 60)
          .sign(key);
      const assert = async (key: Key) =>
        redeem(on, app, got, {
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await sign(key),
        });
      t.is((await redeem(on, app, got)).status, 401);
      t.is((await assert(other.privateKey)).status, 401);
      const reply = await assert(own.privateKey);
      t.is(reply.status, 200, reply.text);
    }
  });

  test('whose keys cannot be had are a wrong client, not a fault of this service', async (t) => {
    const jwks_uri = host.urlOf('/nokeys.json');
    const { app } = publish({ token_endpoint_auth_method: 'private_key_jwt', jwks_uri });
    const { privateKey } = await generateKeyPair('ES256');
    const assertion = await new SignJWT({})
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(app.clientId)
      .setSubject(app.clientId)
      .setAudience(on.url)
      .setJti(randomUUID())
      .setIssuedAt(Math.floor(on.clock() / 1000))
      .setExpirationTime(Math.floor(on.clock() / 1000) + 60)
      .sign(privateKey);
    const { status, body } = await on.form('/oauth2/token', {
      grant_type: 'refresh_token',
      refresh_token: 'x',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    });
    t.deepEqual([status, body.error], [401, 'invalid_client']);
  });
});

onEveryEngine('fetches that strangers cause', (engine, test) => {
  let on: TestService;
  let host: ClientHost;
  const limits = { documentsPerIp: '3/m', documentsPerHost: '5/m' };
  test.before(async () => {
    on = await startTestService(engine, { limits, env: { TRUST_PROXY: '1' } });
    host = await startClientHost();
    host.connect(on);
  });
  test.after(async () => {
    host.stop();
    await on.stop();
  });

  const redeemAs = (address: string, path: string) =>
    on.form(
      '/oauth2/token',
      { grant_type: 'refresh_token', refresh_token: 'x', client_id: host.urlOf(path) },
      { 'X-Forwarded-For': address },
    );

  test('are counted by address and by host; those that failed are remembered and not counted again', async (t) => {
    for (const path of ['/1', '/2', '/3', '/1', '/2'])
      t.is((await redeemAs('198.51.100.1', path)).status, 401, path);
    t.deepEqual(host.asked, ['/1', '/2', '/3']);
    const limited = await redeemAs('198.51.100.1', '/4');
    t.is(limited.status, 429);
    t.true(Number(limited.headers.get('retry-after')) > 0);
    t.is((await redeemAs('198.51.100.2', '/4')).status, 401);
    t.is((await redeemAs('198.51.100.2', '/5')).status, 401);
    t.is((await redeemAs('198.51.100.2', '/6')).status, 429);
    t.deepEqual(host.asked, ['/1', '/2', '/3', '/4', '/5']);
    on.clock.advance(61);
    t.is((await redeemAs('198.51.100.2', '/6')).status, 401);
  });
});

onEveryEngine('fetches at once', (engine, test) => {
  test('are 16, and the others are told to come again', async (t) => {
    const on = await startTestService(engine);
    const host = await startClientHost();
    host.connect(on);
    try {
      const paths = Array.from({ length: 16 }, (_, i) => `/held/${i}`);
      const release = paths.map((path) => host.hold(path));
      const redeemAt = (path: string) =>
        redeem(on, appAt(host.urlOf(path)), { code: 'x', asked: askFor(appAt('x')) });
      const waiting = paths.map(redeemAt);
      while (host.asked.length < 16) await new Promise((resolve) => setImmediate(resolve));
      t.is((await redeemAt('/other')).status, 429);
      for (const go of release) go();
      t.true((await Promise.all(waiting)).every(({ status }) => status === 401));
      t.is((await redeemAt('/other')).status, 401);
    } finally {
      host.stop();
      await on.stop();
    }
  });
});

onEveryEngine('failures', (_engine, test) => {
  test('take the same time, whether an address is refused or a server does not answer', async (t) => {
    const admit = async () => {};
    const times: number[] = [];
    for (const resolve of [
      async () => [{ address: '10.0.0.1', family: 4 }],
      () => Promise.reject(new Error('no such name')),
      () => new Promise<never>(() => {}),
    ]) {
      const fetch = createStrangerFetch(createSafeFetch({ resolve, timeoutMs: 150 }), { failureMs: 150 });
      const startedAt = performance.now();
      const error = await t.throwsAsync(fetch('https://a.example/x', { admit, parse: String }));
      t.is(error.message, 'The document could not be fetched.');
      times.push(performance.now() - startedAt);
    }
    t.true(Math.min(...times) >= 149, times.join());
  });
});
