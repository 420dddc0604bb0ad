import { createLocalJWKSet, jwtVerify } from 'jose';
import { setAccountName } from '../../src/domain/accounts/account-name.ts';
import { localOrigin } from '../../src/work.ts';
import { type Api, addApi } from '../helpers/api.ts';
import {
  answerOf,
  askFor,
  decide,
  errorOf,
  getCode,
  newHuman,
  REDIRECT,
  redeem,
  refresh,
  registerApp,
} from '../helpers/app-client.ts';
import { countOf, said } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, bearer, tallyBy } from '../helpers/common.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('the authorization code of an app', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const ask = (token: string) =>
    on.form(
      '/oauth2/introspect',
      { token },
      {
        Authorization: `Basic ${Buffer.from(`${api.clientId}:${api.clientSecret}`).toString('base64')}`,
      },
    );

  test('gets what the human ticked, at the API that it names, until it is revoked', async (t) => {
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'read write', resource: api.resource } });
    const reply = await redeem(on, app, got, { resource: `${api.resource}/` });
    t.is(reply.status, 200, reply.text);
    t.regex(reply.body.access_token, /^at_/);
    t.regex(reply.body.refresh_token, /^ort_/);
    t.like(reply.body, { token_type: 'Bearer', scope: 'read', expires_in: 600 });
    const { body } = await ask(reply.body.access_token);
    t.like(body, {
      active: true,
      client_id: app.clientId,
      scope: 'read',
      aud: api.resource,
      credential_kind: 'app',
      credential_form: 'token',
    });
    const token = await api.verifier().verify(reply.body.access_token);
    t.like(token, { kind: 'app', form: 'token', clientId: app.clientId });
    t.is(body.sub, body.owner);
    t.is(body.agent_id, undefined);
    t.is((await on.form('/oauth2/revoke', { token: reply.body.refresh_token })).status, 200);
    t.deepEqual((await ask(reply.body.access_token)).body, { active: false });
    t.is(errorOf(await refresh(on, app, reply.body.refresh_token)), '400 invalid_grant');
  });

  test('leads back with iss and state, also when the human declines', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const page = await browser.get(askFor(app, { scope: 'read' }).path);
    t.is(heading(page), 'Approve this app?');
    const back = await decide(browser, page, 'deny');
    t.true(back.path.startsWith(`${REDIRECT}?`));
    t.like(answerOf(back), { error: 'access_denied', state: 'st', iss: on.url });
    const declined = `events WHERE kind = 'app.declined' AND details LIKE ?`;
    t.is(await countOf(on, declined, [`%${app.clientId}%`]), 1);
    const ok = await decide(browser, await browser.get(askFor(app, { scope: 'read' }).path), 'approve');
    t.like(answerOf(ok), { state: 'st', iss: on.url });
  });

  test('is used once: of 20 at once one wins, its tokens work, and a later replay ends them', async (t) => {
    const app = await registerApp(on);
    const got = await getCode(on, app, { query: { scope: 'read', resource: api.resource } });
    const replies = await atOnce(20, () => redeem(on, app, got));
    t.deepEqual(tallyBy(replies, errorOf), { '200': 1, '400 invalid_grant': 19 });
    const { access_token } = replies.find(({ status }) => status === 200)!.body;
    t.true((await ask(access_token)).body.active);
    on.clock.advance(11);
    t.is(errorOf(await redeem(on, app, got)), '400 invalid_grant');
    t.deepEqual((await ask(access_token)).body, { active: false });
  });

  test('needs PKCE with S256', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    for (const query of [{ code_challenge: '' }, { code_challenge_method: 'plain' }]) {
      const back = await browser.get(askFor(app, { scope: 'read', ...query }).path);
      t.like(answerOf(back), { error: 'invalid_request', iss: on.url });
    }
    const got = await getCode(on, app, { query: { scope: 'read' } });
    t.is(errorOf(await redeem(on, app, got, { code_verifier: 'a'.repeat(43) })), '400 invalid_grant');
  });

  test('is never sent to a URL that is not registered', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    for (const redirect_uri of [
      `${REDIRECT}/x`,
      'https://evil.example/',
      `${REDIRECT}?a=b`,
      'javascript:alert(1)',
    ]) {
      const page = await browser.get(askFor(app, { scope: 'read', redirect_uri }).path);
      t.is(page.status, 400);
      t.true(page.path.startsWith('/oauth2/authorize?'));
    }
    t.is((await browser.get(askFor({ ...app, clientId: 'cli_none' }, { scope: 'read' }).path)).status, 400);
  });

  test('refresh tokens rotate: 20 at once get one successor, a later replay ends the app', async (t) => {
    const app = await registerApp(on);
    const first = await redeem(
      on,
      app,
      await getCode(on, app, { query: { scope: 'read', resource: api.resource } }),
    );
    t.is(first.status, 200, first.text);
    const replies = await atOnce(20, () => refresh(on, app, first.body.refresh_token));
    t.deepEqual(tallyBy(replies, errorOf), { '200': 20 });
    t.is(new Set(replies.map(({ body }) => body.refresh_token)).size, 1);
    const { access_token, refresh_token } = replies[0]!.body;
    t.true((await ask(access_token)).body.active);
    on.clock.advance(11);
    t.is(errorOf(await refresh(on, app, first.body.refresh_token)), '400 invalid_grant');
    t.deepEqual((await ask(access_token)).body, { active: false });
    t.is(errorOf(await refresh(on, app, refresh_token)), '400 invalid_grant');
  });

  test('with openid it gets an ID token and userinfo, and nothing else of this service', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    const got = await getCode(on, app, {
      query: { scope: 'openid email', nonce: 'n' },
      boxes: ['openid:email'],
      browser,
    });
    const reply = await redeem(on, app, got);
    t.is(reply.status, 200, reply.text);
    const claims = JSON.parse(Buffer.from(reply.body.id_token.split('.')[1], 'base64url').toString());
    t.like(claims, { iss: on.url, aud: app.clientId, nonce: 'n', email: mailbox });
    const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body);
    const { protectedHeader } = await jwtVerify(reply.body.id_token, keys, { issuer: on.url });
    t.is(protectedHeader.alg, 'ES256');
    const info = await on.request('GET', '/oauth2/userinfo', { headers: bearer(reply.body.access_token) });
    t.like(info.body, { sub: claims.sub, email: mailbox, email_verified: true });
    const refused = await on.get('/api/me', reply.body.access_token);
    t.is(said(refused), '403 insufficient_scope');
    t.false(refused.headers.get('www-authenticate')!.includes('scope="'));
    t.deepEqual((await ask(reply.body.access_token)).body, { active: false });
  });

  test('with profile it gets the name that its human has, and none while they have none or keep it back', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    const { deps } = on.service;
    const account = await deps.db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]);
    const infoOf = async (...boxes: string[]) => {
      const query = { scope: 'openid profile email' };
      const { body } = await redeem(on, app, await getCode(on, app, { query, boxes, browser }));
      const claims = JSON.parse(Buffer.from(body.id_token.split('.')[1], 'base64url').toString());
      const info = await on.request('GET', '/oauth2/userinfo', { headers: bearer(body.access_token) });
      t.is(info.body.name, claims.name);
      return info.body;
    };
    t.false('name' in (await infoOf('openid:profile')));
    await setAccountName(deps, localOrigin('test'), account!.id, 'Ann O’Hara');
    const { sub, ...known } = await infoOf('openid:profile');
    t.deepEqual([sub, known], [account!.id, { name: 'Ann O’Hara' }]);
    t.false('name' in (await infoOf('openid:email')));
  });

  test('a confidential client needs its secret, which is shown once', async (t) => {
    const app = await registerApp(on, { token_endpoint_auth_method: 'client_secret_basic' });
    t.regex(app.secret!, /^cs_/);
    const basic = {
      Authorization: `Basic ${Buffer.from(`${app.clientId}:${app.secret}`).toString('base64')}`,
    };
    const got = await getCode(on, app, { query: { scope: 'read' } });
    t.is(errorOf(await redeem(on, app, got)), '401 invalid_client');
    const form = {
      grant_type: 'authorization_code',
      code: got.code,
      redirect_uri: REDIRECT,
      code_verifier: got.asked.verifier,
    };
    t.is((await on.form('/oauth2/token', form, basic)).status, 200);
    const { registration_access_token: rat, registration_client_uri: uri } = app.registered;
    const read = await on.request('GET', new URL(uri).pathname, { headers: bearer(rat) });
    t.is(read.status, 200, read.text);
    t.is(read.body.client_secret, undefined);
    t.is((await on.request('DELETE', new URL(uri).pathname, { headers: bearer(rat) })).status, 204);
    t.is(errorOf(await on.form('/oauth2/token', form, basic)), '401 invalid_client');
  });
});
