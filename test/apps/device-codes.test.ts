import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { type App, askFor, errorOf, newHuman, refresh, registerApp } from '../helpers/app-client.ts';
import type { Browser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, tallyBy } from '../helpers/common.ts';
import { startWith } from '../helpers/configured-service.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const DEVICE = { grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT] };

onEveryEngine('devices without a browser (RFC 8628)', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  async function begin(form: Record<string, string> = {}) {
    const app = await registerApp(on, DEVICE);
    const all = { client_id: app.clientId, scope: 'read', resource: api.resource, ...form };
    const reply = await on.form('/oauth2/device_authorization', all);
    t200(reply);
    return { app, ...(reply.body as { device_code: string; user_code: string }), body: reply.body };
  }

  function t200(reply: Reply) {
    if (reply.status !== 200) throw new Error(reply.text);
  }

  const poll = (app: App, device_code: string) =>
    on.form('/oauth2/token', { grant_type: DEVICE_GRANT, device_code, client_id: app.clientId });

  const open = (browser: Browser, code: string) =>
    browser.get('/connect').then(() => browser.post('/connect', { code }));

  const decide = (browser: Browser, decision: string, boxes: Record<string, string> = {}) =>
    browser.post('/connect/device', { ...browser.form('/connect/device'), ...boxes, decision });

  test('a human types its code, sees what it asks for, and connects it', async (t) => {
    const { app, device_code, user_code, body } = await begin({ scope: 'openid read write' });
    t.regex(user_code, /^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/);
    t.like(body, { verification_uri: `${on.url}/connect`, expires_in: 600, interval: 5 });
    t.is(body.verification_uri_complete, undefined);
    t.is(errorOf(await poll(app, device_code)), '400 authorization_pending');
    t.is(errorOf(await poll(app, device_code)), '400 slow_down');
    const { browser } = await newHuman(on);
    const page = await open(browser, user_code.toLowerCase().replace('-', ' '));
    t.is(heading(page), 'Connect a device?', page.text);
    t.true(page.text.includes(user_code));
    t.true(page.text.includes('Marlin Editor'));
    t.regex(page.text, /name not verified/i);
    const done = await decide(browser, 'approve', { 'scope:read': 'on' });
    t.is(heading(done), 'The device is connected', done.text);
    on.clock.advance(6);
    const reply = await poll(app, device_code);
    t.is(reply.status, 200, reply.text);
    t.is(reply.body.scope, 'read');
    t.truthy(reply.body.id_token);
    const token = await api.verifier().verify(reply.body.access_token);
    t.like(token, { kind: 'app', clientId: app.clientId, scopes: ['read'] });
    t.is((await refresh(on, app, reply.body.refresh_token)).status, 200);
    t.not((await open(browser, user_code)).status, 303);
    t.is(errorOf(await poll(app, device_code)), '400 slow_down');
    on.clock.advance(11);
    t.is(errorOf(await poll(app, device_code)), '400 invalid_grant');
    t.false(await api.isActive(reply.body.access_token));
  });

  test('one that asks who its human is, and for no API, is connected', async (t) => {
    const app = await registerApp(on, DEVICE);
    const asked = { client_id: app.clientId, scope: 'openid email' };
    const { device_code, user_code } = (await on.form('/oauth2/device_authorization', asked)).body;
    const { browser } = await newHuman(on);
    const page = await open(browser, user_code);
    t.is(heading(page), 'Connect a device?');
    t.is(heading(await decide(browser, 'approve', { 'openid:email': 'on' })), 'The device is connected');
    const { body } = await poll(app, device_code);
    t.is((await on.get('/oauth2/userinfo', body.access_token)).status, 200);
  });

  test('declining is told to the device, and of two decisions the first counts', async (t) => {
    const { app, device_code, user_code } = await begin();
    const [{ browser }, other] = [await newHuman(on), await newHuman(on)];
    await open(browser, user_code);
    await open(other.browser, user_code);
    t.is(heading(await decide(browser, 'deny')), 'The device was not connected');
    const late = await decide(other.browser, 'approve', { 'scope:read': 'on' });
    t.is(late.status, 410);
    t.is(errorOf(await poll(app, device_code)), '400 access_denied');
  });

  test('nothing ticked asks again, and a form of another request or without token changes nothing', async (t) => {
    const { app, device_code, user_code } = await begin();
    const { browser } = await newHuman(on);
    await open(browser, user_code);
    t.is((await decide(browser, 'approve')).status, 400);
    const form = { ...browser.form('/connect/device'), 'scope:read': 'on', decision: 'approve' };
    t.is((await browser.send('/connect/device', { ...form, request: 'ab' })).status, 404);
    t.is((await browser.send('/connect/device', { ...form, csrf: 'none' })).status, 403);
    t.is(errorOf(await poll(app, device_code)), '400 authorization_pending');
  });

  test('a code is right once, for ten minutes, for its client; unknown codes count as guesses', async (t) => {
    const { app, device_code, user_code } = await begin();
    const other = await registerApp(on, DEVICE);
    t.is(errorOf(await poll(other, device_code)), '400 invalid_grant');
    const { browser } = await newHuman(on);
    t.is((await open(browser, 'BCDF-GHJK')).status, 400);
    on.clock.advance(601);
    t.is((await open(browser, user_code)).status, 400);
    t.is(errorOf(await poll(app, device_code)), '400 expired_token');
    t.is(errorOf(await poll(app, 'unknown')), '400 invalid_grant');
  });

  test('of 20 questions at once one gets tokens, and a later one ends them', async (t) => {
    const { app, device_code, user_code } = await begin();
    const { browser } = await newHuman(on);
    await open(browser, user_code);
    await decide(browser, 'approve', { 'scope:read': 'on' });
    const replies = await atOnce(20, () => poll(app, device_code));
    t.is(tallyBy(replies, errorOf)['200'], 1);
    const { body } = replies.find(({ status }) => status === 200)!;
    t.true(await api.isActive(body.access_token));
    on.clock.advance(11);
    t.is(errorOf(await poll(app, device_code)), '400 invalid_grant');
    t.false(await api.isActive(body.access_token));
  });

  test('a device that registers itself needs no redirect, and is connected all the same', async (t) => {
    for (const redirects of [{}, { redirect_uris: [] }, { redirect_uris: null }]) {
      const { body } = await on.post('/oauth2/register', {
        client_name: 'Marlin TV',
        token_endpoint_auth_method: 'none',
        grant_types: [DEVICE_GRANT, 'refresh_token'],
        ...redirects,
      });
      t.deepEqual(body.grant_types, ['refresh_token', DEVICE_GRANT]);
      const form = { client_id: body.client_id, scope: 'read', resource: api.resource };
      const { body: asked } = await on.form('/oauth2/device_authorization', form);
      const { browser } = await newHuman(on);
      await open(browser, asked.user_code);
      await decide(browser, 'approve', { 'scope:read': 'on' });
      on.clock.advance(5);
      const app = { clientId: body.client_id } as App;
      t.is((await poll(app, asked.device_code)).status, 200);
      const apps = await browser.get('/apps');
      t.regex(apps.text, /Marlin TV[\s\S]*>On a device</);
      const [id] = /con_\w+/.exec(apps.text)!;
      t.regex((await browser.get(`/apps/${id}/revoke`)).text, /<dd>On a device<\/dd>/);
      const leave = await browser.get(askFor(app, { scope: 'read' }).path);
      t.is(leave.status, 400);
    }
    const without = { client_name: 'x', token_endpoint_auth_method: 'none', redirect_uris: [] };
    for (const grant_types of [undefined, ['authorization_code', DEVICE_GRANT], ['refresh_token']]) {
      t.is(
        errorOf(await on.post('/oauth2/register', { ...without, grant_types })),
        '400 invalid_redirect_uri',
      );
    }
    const nothing = { client_id: (await registerApp(on, DEVICE)).clientId, scope: 'unknown' };
    t.is(errorOf(await on.form('/oauth2/device_authorization', nothing)), '400 invalid_scope');
  });

  test('only clients that asked for the grant get codes', async (t) => {
    const app = await registerApp(on);
    const reply = await on.form('/oauth2/device_authorization', { client_id: app.clientId, scope: 'read' });
    t.is(reply.status, 400);
    const unknown = await on.form('/oauth2/device_authorization', { client_id: 'cli_none' });
    t.is(errorOf(unknown), '401 invalid_client');
  });

  test('without a scope it asks for what the API has', async (t) => {
    const { user_code } = await begin({ scope: '' });
    const { browser } = await newHuman(on);
    const page = await open(browser, user_code);
    for (const scope of ['read', 'write']) t.true(page.text.includes(`name="scope:${scope}"`), scope);
  });

  test('the page shows the code, and the network of the device beside the browser’s; it warns where they differ', async (t) => {
    const proxied = await startTestService(engine, { env: { TRUST_PROXY: '1' } });
    t.teardown(() => proxied.stop());
    const form = { client_id: (await registerApp(proxied, DEVICE)).clientId, scope: 'read' };
    const { browser } = await newHuman(proxied);
    for (const [headers, network, isOther] of [
      [{ 'X-Forwarded-For': '198.51.100.7' }, '198.51.x.x', true],
      [{}, '127.0.x.x', false],
    ] as [Record<string, string>, string, boolean][]) {
      const { body } = await proxied.form('/oauth2/device_authorization', form, headers);
      const { text } = await open(browser, body.user_code);
      t.regex(
        text,
        new RegExp(`Only if you see this code on a device in front of you: <b>.*${body.user_code}`),
      );
      t.true(text.includes(`from network ${network}</dd>`), text);
      t.true(text.includes('<dt>Your network</dt><dd>127.0.x.x</dd>'));
      t.is(text.includes('The device and this browser are on different networks.'), isOther);
    }
  });

  test('only who typed a mailed code lately connects it', async (t) => {
    const { browser } = await newHuman(on);
    on.clock.advance(400);
    const { app, device_code, user_code } = await begin();
    await open(browser, user_code);
    const form = { ...browser.form('/connect/device'), 'scope:read': 'on', decision: 'approve' };
    on.clock.advance(550);
    t.is(heading(await browser.send('/connect/device', form)), 'Confirm it’s you');
    t.is(heading(await open(browser, user_code)), 'Confirm it’s you');
    t.is(errorOf(await poll(app, device_code)), '400 authorization_pending');
  });

  test('a code is one guess at all that wait with codes: after too many wrong ones a right one is refused', async (t) => {
    const narrow = await startTestService(engine, { limits: { wrongPerIpHour: 2 } });
    t.teardown(() => narrow.stop());
    const form = { client_id: (await registerApp(narrow, DEVICE)).clientId, scope: 'read' };
    const { user_code } = (await narrow.form('/oauth2/device_authorization', form)).body;
    const { browser } = await newHuman(narrow);
    for (const code of ['BCDF-GHJK', 'BCDF-GHJL']) t.is((await open(browser, code)).status, 400);
    for (const code of ['BCDF-GHJM', user_code]) t.is((await open(browser, code)).status, 429);
    narrow.clock.advance(3600);
    const { user_code: later } = (await narrow.form('/oauth2/device_authorization', form)).body;
    t.is((await open(browser, later)).status, 200);
  });

  test('an operator may keep devices from clients that registered themselves', async (t) => {
    const on = await startWith({ deviceForNewClients: false }, {}, engine);
    t.teardown(() => on.stop());
    const app = await registerApp(on, DEVICE);
    t.deepEqual(app.registered.grant_types, ['authorization_code', 'refresh_token']);
    const reply = await on.form('/oauth2/device_authorization', { client_id: app.clientId, scope: 'read' });
    t.is(reply.status, 400);
  });

  test('what cannot be undone is not given to a device', async (t) => {
    const file = {
      scopes: { read: { description: 'Read' }, erase: { description: 'Erase all', destructive: true } },
      anonymousScopes: ['read'],
      claimedScopes: ['read'],
    };
    const on = await startWith(file, {}, engine);
    t.teardown(() => on.stop());
    const app = await registerApp(on, DEVICE);
    const form = { client_id: app.clientId, scope: 'read erase' };
    const { body } = await on.form('/oauth2/device_authorization', form);
    const { browser } = await newHuman(on);
    await browser.get('/connect');
    const page = await browser.post('/connect', { code: body.user_code });
    t.regex(page.text, /Can’t be given to a device/);
    const boxes = { 'scope:read': 'on', 'scope:erase': 'on', decision: 'approve' };
    await browser.post('/connect/device', { ...browser.form('/connect/device'), ...boxes });
    const grant = { grant_type: DEVICE_GRANT, device_code: body.device_code, client_id: app.clientId };
    t.is((await on.form('/oauth2/token', grant)).body.scope, 'read');
  });
});
