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
import { bearer } from '../helpers/common.ts';
import { dumpOf } from '../helpers/dump.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What RFC 9700 (security of OAuth 2.0) warns of, played by an attacker who has an app of their own. */
onEveryEngine('attacks on apps and their humans', (engine, test) => {
  let on: TestService;
  let api: Api;
  let other: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
    other = await addApi(on, 'https://other.example.com/mcp');
  });
  test.after(() => on.stop());

  const reading = () => ({ query: { scope: 'read', resource: api.resource } });

  test('a code that was stolen is of no use to another app, and goes on working for its own', async (t) => {
    const [app, thief] = [await registerApp(on), await registerApp(on)];
    const got = await getCode(on, app, reading());
    t.is(errorOf(await redeem(on, thief, got)), '400 invalid_grant');
    t.is(errorOf(await redeem(on, app, got, { code_verifier: 'x'.repeat(43) })), '400 invalid_grant');
    t.is((await redeem(on, app, got)).status, 200);
  });

  test('a code of the attacker is refused in the session of somebody else: PKCE binds it to its request', async (t) => {
    const app = await registerApp(on);
    const attacker = await getCode(on, app, reading());
    const victim = await getCode(on, app, reading());
    const injected = { code: attacker.code, asked: victim.asked };
    t.is(errorOf(await redeem(on, app, injected)), '400 invalid_grant');
  });

  test('PKCE cannot be left out or weakened, in either request', async (t) => {
    const app = await registerApp(on);
    const secret = await registerApp(on, { token_endpoint_auth_method: 'client_secret_post' });
    const { browser } = await newHuman(on);
    for (const each of [app, secret]) {
      const bare = new URL(askFor(each, { scope: 'read' }).path, on.url);
      for (const name of ['code_challenge', 'code_challenge_method']) bare.searchParams.delete(name);
      t.like(answerOf(await browser.get(bare.href)), { error: 'invalid_request', iss: on.url });
      const plain = askFor(each, { scope: 'read', code_challenge_method: 'plain' });
      t.like(answerOf(await browser.get(plain.path)), { error: 'invalid_request' });
    }
    const got = await getCode(on, app, reading());
    const form = {
      grant_type: 'authorization_code',
      code: got.code,
      client_id: app.clientId,
      redirect_uri: REDIRECT,
    };
    t.regex(errorOf(await on.form('/oauth2/token', form)), /^400 invalid_(grant|request)$/);
  });

  test('the redirect of the token request is the one of the authorization request', async (t) => {
    const app = await registerApp(on, { redirect_uris: [REDIRECT, 'https://app.example/second'] });
    const got = await getCode(on, app, reading());
    const reply = await redeem(on, app, got, { redirect_uri: 'https://app.example/second' });
    t.is(errorOf(reply), '400 invalid_grant');
  });

  test('no redirect but a registered one is followed, whatever it looks like, with or without an error', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const like = [
      `${REDIRECT}/`,
      `${REDIRECT}#x`,
      `${REDIRECT}?next=https://evil.example`,
      `${REDIRECT}/../evil`,
      `${REDIRECT}%2f..%2fevil`,
      REDIRECT.toUpperCase(),
      REDIRECT.replace('https:', 'http:'),
      REDIRECT.replace('app.example', 'app.example.evil.example'),
      REDIRECT.replace('app.example', 'app.example:444'),
      REDIRECT.replace('app.example', 'app.example@evil.example'),
      REDIRECT.replace('app.example', 'app.example.'),
      REDIRECT.replace('app.example', 'аpp.example'),
      'https://evil.example\\@app.example/callback',
      '//evil.example/callback',
      '/account',
      'data:text/html,hi',
    ];
    for (const redirect_uri of like) {
      for (const query of [{ scope: 'read' }, { scope: 'nothing' }, { response_type: 'token' }]) {
        const page = await browser.get(askFor(app, { ...query, redirect_uri }).path);
        t.deepEqual([page.status, page.redirects], [400, []], redirect_uri);
        t.false(/href="[^"]*evil/.test(page.text));
      }
    }
  });

  test('what comes back as an error goes to the registered redirect, with iss and state', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const wrong: [Record<string, string>, string][] = [
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ response_type: 'code id_token' }, 'unsupported_response_type'],
      [{ resource: 'https://unknown.example' }, 'invalid_target'],
      [{ request: 'eyJhbGciOiJub25lIn0.e30.' }, 'request_not_supported'],
      [{ request_uri: 'https://evil.example/request' }, 'request_uri_not_supported'],
    ];
    for (const [query, error] of wrong) {
      const { path } = await browser.get(askFor(app, { scope: 'read', ...query }).path);
      // A flow that would have got its token in the fragment gets its error there (RFC 6749 section 4.2.2.1).
      const url = new URL(path);
      t.is(url.origin + url.pathname, REDIRECT);
      const answer = new URLSearchParams(url.hash.slice(1) || url.search);
      t.like(Object.fromEntries(answer), { error, iss: on.url, state: 'st' });
    }
  });

  test('pages of a request that nobody made here lead nowhere', async (t) => {
    const { browser } = await newHuman(on);
    for (const path of [
      '/oauth2/authorize/none',
      '/authorize/none',
      '/oauth2/authorize/%2e%2e%2fevil.example',
    ]) {
      const page = await browser.get(path);
      t.true(page.status >= 400 && page.status < 500, `${path}: ${page.status}`);
      t.deepEqual(page.redirects, []);
    }
    const away = await browser.get('/sign-in?next=https://evil.example/authorize/x');
    t.false(away.redirects.some((location) => location.includes('evil')));
  });

  test('a token works at the API that it is for: neither request changes to another one', async (t) => {
    const app = await registerApp(on);
    const got = await getCode(on, app, reading());
    t.is(errorOf(await redeem(on, app, got, { resource: other.resource })), '400 invalid_target');
    const { body } = await redeem(on, app, await getCode(on, app, { ...reading(), browser: got.browser }));
    t.true(await api.isActive(body.access_token));
    t.false(await other.isActive(body.access_token));
    await t.throwsAsync(other.verifier().verify(body.access_token));
    const moved = await refresh(on, app, body.refresh_token, { resource: other.resource });
    t.is(errorOf(moved), '400 invalid_target');
    const two = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: body.refresh_token,
      client_id: app.clientId,
    });
    for (const each of [api, other]) two.append('resource', each.resource);
    const both = await on.request('POST', '/oauth2/token', { body: two });
    t.true(both.status === 400, both.text);
    t.is((await refresh(on, app, body.refresh_token)).status, 200);
  });

  test('a refresh gives no more than the human did, and less where the app wants less', async (t) => {
    const app = await registerApp(on);
    const wide = { query: { scope: 'read write', resource: api.resource }, boxes: ['scope:read'] };
    const { body } = await redeem(on, app, await getCode(on, app, wide));
    t.is(body.scope, 'read');
    t.is(errorOf(await refresh(on, app, body.refresh_token, { scope: 'read write' })), '400 invalid_scope');
    const same = await refresh(on, app, body.refresh_token, { scope: 'read' });
    t.deepEqual([same.status, same.body.scope], [200, 'read']);
  });

  test('scopes that are not on the page cannot be ticked into a consent', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const asked = askFor(app, { scope: 'read', resource: api.resource });
    const page = await browser.get(asked.path);
    const back = await decide(browser, page, 'approve', ['scope:read', 'scope:write', 'openid:email']);
    const reply = await redeem(on, app, { code: answerOf(back).code!, asked });
    t.is(reply.body.scope, 'read');
  });

  test('each secret is good for one thing', async (t) => {
    const app = await registerApp(on);
    const got = await getCode(on, app, reading());
    const { body } = await redeem(on, app, got);
    const { access_token: access, refresh_token: renewal } = body;
    const { registration_access_token: registration } = app.registered;
    for (const token of [renewal, registration, got.code]) {
      t.false(await api.isActive(token));
      t.is((await on.request('GET', '/oauth2/userinfo', { headers: bearer(token) })).status, 401);
      t.is((await on.get('/api/me', token)).status, 401);
    }
    for (const token of [access, registration, got.code]) {
      t.is(errorOf(await refresh(on, app, token)), '400 invalid_grant');
    }
    for (const token of [access, renewal]) {
      const headers = bearer(token);
      t.is((await on.request('GET', `/oauth2/register/${app.clientId}`, { headers })).status, 401);
    }
    const inQuery = await on.get(`/oauth2/userinfo?access_token=${access}`);
    t.true(inQuery.status >= 400 && inQuery.status < 500);
  });

  test('what an app said about scopes when it registered bounds nothing that it asks for later', async (t) => {
    const app = await registerApp(on, { scope: 'read' });
    const wide = {
      query: { scope: 'read write', resource: api.resource },
      boxes: ['scope:read', 'scope:write'],
    };
    t.is((await redeem(on, app, await getCode(on, app, wide))).body.scope, 'read write');
  });

  test('without scope and resource an app asks for what the default API has, and its token is for that', async (t) => {
    const app = await registerApp(on);
    const { body } = await redeem(on, app, await getCode(on, app, { boxes: ['scope:read'] }));
    t.is(body.scope, 'read');
    t.false(await api.isActive(body.access_token));
  });

  test('an API is named with a slash at its end or without, in both requests; an unknown one is refused', async (t) => {
    const app = await registerApp(on);
    const slashed = `${api.resource}/`;
    for (const resource of [slashed, api.resource]) {
      const got = await getCode(on, app, { query: { scope: 'read', resource } });
      const reply = await redeem(on, app, got, { resource: slashed });
      t.is(reply.status, 200, reply.text);
      t.true(await api.isActive(reply.body.access_token));
    }
    const got = await getCode(on, app, { query: { scope: 'read', resource: slashed } });
    const reply = await redeem(on, app, got, { resource: `${slashed}other` });
    t.is(errorOf(reply), '400 invalid_target');
  });

  test('no code, verifier, secret or token is in the log or readable in the database', async (t) => {
    const app = await registerApp(on, { token_endpoint_auth_method: 'client_secret_post' });
    const got = await getCode(on, app, { query: { scope: 'openid read', resource: api.resource } });
    const { body } = await redeem(on, app, got, { client_secret: app.secret! });
    const again = await refresh(on, app, body.refresh_token, { client_secret: app.secret! });
    t.is(again.status, 200, again.text);
    const kept = `${on.logged.join('\n')}\n${await dumpOf(on)}`;
    const secrets = [got.code, got.asked.verifier, app.secret!, app.registered.registration_access_token];
    for (const secret of [...secrets, ...Object.values(body).filter((each) => String(each).length > 30)]) {
      t.false(kept.includes(String(secret)));
    }
  });
});
