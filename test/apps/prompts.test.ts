import { createLocalJWKSet, jwtVerify } from 'jose';
import {
  type App,
  answerOf,
  askFor,
  decide,
  getCode,
  newHuman,
  REDIRECT,
  redeem,
  registerApp,
} from '../helpers/app-client.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { appCode } from '../helpers/human.ts';
import { secondFactorSteps } from '../helpers/second-factor.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertPage } from '../helpers/wire.ts';

const QUESTION = 'Approve this app?';
const CONFIRM = 'Confirm it’s you';
const SECOND_FACTOR = 'urn:vouchsafe:acr:second-factor';

onEveryEngine('what an app can ask about the sign-in', (engine, test) => {
  let on: TestService;
  let app: App;
  test.before(async () => {
    on = await startTestService(engine);
    app = await registerApp(on);
  });
  test.after(() => on.stop());
  const { withApp } = secondFactorSteps(() => ({ on }));

  const ask = (browser: Browser, query: Record<string, string>) =>
    browser.get(askFor(app, { scope: 'openid read', ...query }).path);

  /** Types the code that is mailed to whoever confirms that it is them. */
  async function confirm(browser: Browser, mailbox: string) {
    const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
    await browser.post('/sign-in/again');
    return browser.post('/sign-in/code', { code: await on.signInCodeFor(mailbox, earlier + 1) });
  }

  /** The claims of the ID token that a human gives, with what they are asked for. */
  async function claimsOf(browser: Browser, query: Record<string, string>) {
    const got = await getCode(on, app, { query: { scope: 'openid read', ...query }, browser });
    const { body } = await redeem(on, app, got);
    const keys = createLocalJWKSet((await on.get('/.well-known/jwks.json')).body);
    return (await jwtVerify(body.id_token, keys, { issuer: on.url, audience: app.clientId })).payload;
  }

  test('none: nothing is asked, and the app is told what is missing', async (t) => {
    const stranger = await ask(openBrowser(on), { prompt: 'none' });
    t.like(answerOf(stranger), { error: 'login_required', state: 'st', iss: on.url });
    const { browser } = await newHuman(on);
    await ask(browser, {}); // connects the session
    t.like(answerOf(await ask(browser, { prompt: 'none' })), { error: 'consent_required', iss: on.url });
    t.like(answerOf(await ask(browser, { prompt: 'none login' })), { error: 'invalid_request' });
    t.like(answerOf(await ask(browser, { prompt: 'dance' })), { error: 'invalid_request', iss: on.url });
  });

  test('login: a code is typed for this request, and auth_time says when', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    on.clock.advance(1);
    const page = await ask(browser, { prompt: 'login' });
    t.is(heading(page), CONFIRM);
    t.true(page.text.includes('To go on with the app'));
    const asked = await confirm(browser, mailbox);
    t.is(heading(asked), QUESTION);
    const back = await decide(browser, asked, 'approve');
    t.truthy(answerOf(back).code);
    on.clock.advance(1);
    t.is(heading(await ask(browser, { prompt: 'login' })), CONFIRM);
  });

  test('max_age: a sign-in that is too old is not enough, a newer one is', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    t.is(heading(await ask(browser, { max_age: '600' })), QUESTION);
    on.clock.advance(601);
    t.is(heading(await ask(browser, { max_age: '600' })), CONFIRM);
    t.is(heading(await ask(browser, { max_age: '3600' })), QUESTION);
    t.like(answerOf(await ask(browser, { max_age: '600', prompt: 'none' })), { error: 'login_required' });
    await ask(browser, { max_age: '600' });
    t.is(heading(await confirm(browser, mailbox)), QUESTION);
    const claims = await claimsOf(browser, { max_age: '600' });
    t.true(Math.abs(Number(claims.auth_time) - on.clock() / 1000) < 60);
    on.clock.advance(1);
    t.is(heading(await ask(browser, { max_age: '0' })), CONFIRM);
    t.like(answerOf(await ask(browser, { max_age: '-1' })), { error: 'invalid_request', iss: on.url });
  });

  test('max_age and acr_values without openid: an API may demand them of an app that wants no ID token', async (t) => {
    const { browser, mailbox } = await newHuman(on);
    const plain = (query: Record<string, string>) => ask(browser, { scope: 'read', ...query });
    t.is(heading(await plain({ max_age: '600' })), QUESTION);
    on.clock.advance(601);
    t.is(heading(await plain({ max_age: '600' })), CONFIRM);
    t.is(heading(await confirm(browser, mailbox)), QUESTION);
    on.clock.advance(1);
    t.is(heading(await plain({ max_age: '0' })), CONFIRM);
    for (const max_age of ['-1', 'x', '1.5']) {
      t.like(answerOf(await plain({ max_age })), { error: 'invalid_request', state: 'st', iss: on.url });
    }
    t.is(heading(await plain({ acr_values: SECOND_FACTOR })), 'Two-step sign-in is needed');
    const id_token_hint = 'x.y.z';
    t.like(answerOf(await plain({ id_token_hint })), { error: 'invalid_request', iss: on.url });
    const twice = `${askFor(app, { scope: 'read', max_age: '1' }).path}&max_age=2`;
    t.is(answerOf(await browser.get(twice)).error, 'invalid_request');
  });

  test('scopes of OpenID Connect about which nothing is known here change nothing', async (t) => {
    const { browser } = await newHuman(on);
    const got = await getCode(on, app, {
      query: { scope: 'openid address phone email' },
      boxes: ['openid:email'],
      browser,
    });
    const { body } = await redeem(on, app, got);
    t.is(body.scope, 'openid email');
    const info = await on.get('/oauth2/userinfo', body.access_token);
    t.deepEqual(Object.keys(info.body).sort(), ['email', 'email_verified', 'sub']);
    const { scopes_supported } = (await on.get('/.well-known/openid-configuration')).body;
    for (const name of ['address', 'phone']) t.false(scopes_supported.includes(name), name);
  });

  test('authorization details of another type are refused: without them the app would get more than it asked for', async (t) => {
    const { browser } = await newHuman(on);
    const authorization_details = '[{"type":"payment"}]';
    t.like(answerOf(await ask(browser, { authorization_details })), {
      error: 'invalid_authorization_details',
      state: 'st',
      iss: on.url,
    });
    const pushed = await on.form('/oauth2/par', {
      ...Object.fromEntries(new URL(askFor(app).path, on.url).searchParams),
      authorization_details,
    });
    t.deepEqual([pushed.status, pushed.body.error], [400, 'invalid_authorization_details']);
  });

  test('login_hint: the address stands in the form, and nothing else is taken from it', async (t) => {
    const mailbox = newMailbox();
    const page = await ask(openBrowser(on), { login_hint: mailbox });
    t.is(heading(page), 'Sign in');
    t.regex(page.text, new RegExp(`name="email"[^>]*value="${mailbox}"`));
    t.false(page.path.includes(mailbox));
    for (const login_hint of ['"><script>', 'x'.repeat(3000), 'nobody']) {
      const other = await ask(openBrowser(on), { login_hint });
      t.regex(other.text, /name="email"[^>]*value=""/);
    }
  });

  test('acr_values: the second factor is asked for, and the ID token says so', async (t) => {
    const human = await withApp();
    const page = await ask(human.browser, { acr_values: SECOND_FACTOR });
    t.is(heading(page), CONFIRM); // the session is older than the app
    await confirm(human.browser, human.mailbox);
    const asked = await human.browser.post('/sign-in/code', { code: appCode(on, human.secret) });
    t.is(heading(asked), QUESTION);
    const claims = await claimsOf(human.browser, { acr_values: SECOND_FACTOR });
    t.like(claims, { acr: SECOND_FACTOR, amr: ['otp', 'mfa'] });
  });

  test('acr_values: who has no second factor can set one up or decline, and the app is told', async (t) => {
    const { browser } = await newHuman(on);
    const page = await ask(browser, { acr_values: SECOND_FACTOR });
    t.is(heading(page), 'Two-step sign-in is needed');
    t.true(page.text.includes('href="/account/authenticator"'));
    const back = await decide(browser, page, 'deny');
    const error = 'unmet_authentication_requirements';
    t.like(answerOf(back), { error, state: 'st', iss: on.url });
    t.like(answerOf(await ask(browser, { acr_values: SECOND_FACTOR, prompt: 'none' })), {
      error: 'login_required',
    });
    await ask(browser, {});
    t.like(answerOf(await ask(browser, { acr_values: SECOND_FACTOR, prompt: 'none' })), { error });
  });

  test('id_token_hint: the account that it names goes on; another one can change or decline', async (t) => {
    const { browser } = await newHuman(on);
    const got = await getCode(on, app, { query: { scope: 'openid' }, browser });
    const id_token_hint = (await redeem(on, app, got)).body.id_token as string;
    t.is(heading(await ask(browser, { id_token_hint, prompt: 'consent' })), QUESTION);
    const other = await newHuman(on);
    const page = await ask(other.browser, { id_token_hint });
    t.is(heading(page), 'Another account is needed');
    t.true(page.text.includes(other.mailbox));
    t.like(answerOf(await decide(other.browser, page, 'deny')), { error: 'access_denied' });
    const again = await ask(other.browser, { id_token_hint });
    t.is(heading(await other.browser.post(`${again.path}/switch`)), 'Sign in');
    t.like(answerOf(await ask(browser, { id_token_hint: 'x' })), { error: 'invalid_request' });
  });
});

onEveryEngine('a wrong authorization request', (engine, test) => {
  let on: TestService;
  let app: App;
  test.before(async () => {
    on = await startTestService(engine);
    app = await registerApp(on);
  });
  test.after(() => on.stop());

  test('is answered at the registered redirect, with iss and the state as it was sent', async (t) => {
    const { browser } = await newHuman(on);
    const cases: [Record<string, string>, string][] = [
      [{ response_mode: 'form_post' }, 'unsupported_response_mode'],
      [{ response_mode: 'fragment' }, 'unsupported_response_mode'],
      [{ response_mode: 'web_message' }, 'unsupported_response_mode'],
      [{ response_type: 'foo' }, 'unsupported_response_type'],
      [{ scope: 'a"b' }, 'invalid_scope'],
      [{ resource: 'https://nowhere.example' }, 'invalid_target'],
      [{ request: 'e30.e30.' }, 'request_not_supported'],
      [{ code_challenge: 'short' }, 'invalid_request'],
    ];
    for (const [query, error] of cases) {
      const back = await browser.get(askFor(app, { scope: 'read', ...query }).path);
      t.true(back.path.startsWith(`${REDIRECT}?`), `${error} ${back.path}`);
      t.like(answerOf(back), { error, state: 'st', iss: on.url }, JSON.stringify(query));
    }
  });

  test('before the sign-in it leads nowhere by itself: a page names the host, and links there', async (t) => {
    const state = 'a b&c="<';
    for (const query of [{ scope: 'a"b' }, { response_mode: 'form_post' }, { response_type: 'token' }]) {
      const { path } = askFor(app, { scope: 'read', state, ...query });
      const page = await on.get(path);
      t.is(page.status, 400, JSON.stringify(query));
      t.is(page.headers.get('location'), null);
      assertPage(t, page, 'continue-to-app');
      t.true(page.text.includes('Continue to app.example'));
      const [, link] = /<a class="button main full" href="([^"]+)"/.exec(page.text)!;
      const url = new URL(link!.replaceAll('&amp;', '&'));
      t.is(url.origin + url.pathname, REDIRECT);
      const answer = new URLSearchParams(url.hash.slice(1) || url.search);
      t.deepEqual([answer.get('state'), answer.get('iss')], [state, on.url]);
    }
    // Where nobody is to be asked, the app is told at once.
    const { path } = askFor(app, { scope: 'read', prompt: 'none' });
    const { status, headers } = await on.get(path);
    t.is(status, 303);
    t.regex(headers.get('location')!, /^https:\/\/app\.example\/callback\?error=login_required&/);
  });

  test('a state of 2,048 characters comes back; a longer one is refused, and does not', async (t) => {
    const { browser } = await newHuman(on);
    const long = 's'.repeat(2048);
    t.is(
      answerOf(await browser.get(askFor(app, { scope: 'read', state: long, prompt: 'none' }).path)).state,
      long,
    );
    const back = await browser.get(askFor(app, { scope: 'read', state: `${long}s` }).path);
    t.true(back.path.startsWith(REDIRECT));
    t.like(answerOf(back), { error: 'invalid_request', iss: on.url, state: undefined });
  });

  test('a parameter that comes twice is refused', async (t) => {
    const { browser } = await newHuman(on);
    for (const name of ['scope', 'state', 'code_challenge', 'prompt', 'response_mode', 'nonce']) {
      const { path } = askFor(app, { scope: 'read', [name]: 'query' });
      const back = await browser.get(`${path}&${name}=query`);
      t.true(back.path.startsWith(REDIRECT), name);
      t.like(answerOf(back), { error: 'invalid_request', iss: on.url }, name);
    }
    for (const name of ['client_id', 'redirect_uri']) {
      const { path } = askFor(app, { scope: 'read', response_mode: 'form_post' });
      const page = await browser.get(`${path}&${name}=https://evil.example/`);
      t.is(page.status, 400, name);
      t.true(page.path.startsWith('/oauth2/authorize?'), name);
    }
  });

  test('leads nowhere where the redirect is not sure, whatever else is wrong', async (t) => {
    const { browser } = await newHuman(on);
    const wrong: Record<string, string>[] = [
      { response_mode: 'form_post' },
      { state: 's'.repeat(3000) },
      { prompt: 'none' },
      { response_type: 'token' },
    ];
    for (const query of wrong) {
      for (const unsure of [{ redirect_uri: 'https://evil.example/' }, { client_id: 'cli_none' }]) {
        const page = await browser.get(askFor(app, { scope: 'read', ...query, ...unsure }).path);
        t.is(page.status, 400, JSON.stringify({ ...query, ...unsure }).slice(0, 100));
        t.true(page.path.startsWith('/oauth2/authorize?'));
      }
    }
  });

  test('a request that was never made, or in another browser, is 404', async (t) => {
    const { browser } = await newHuman(on);
    for (const path of ['/authorize/none', '/oauth2/authorize/none']) {
      t.is((await browser.get(path)).status, 404, path);
    }
  });
});
