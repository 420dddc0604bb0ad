import { type App, getCode, newHuman, redeem, registerApp } from '../helpers/app-client.ts';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { isIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const GOODBYE = 'https://app.example/goodbye';

onEveryEngine('an app that asks a human to sign out', (engine, test) => {
  let on: TestService;
  let app: App;
  test.before(async () => {
    on = await startTestService(engine);
    app = await registerApp(on, { post_logout_redirect_uris: [GOODBYE] });
  });
  test.after(() => on.stop());

  const leave = (browser: Browser, query: Record<string, string>) =>
    browser.get(`/oauth2/end-session?${new URLSearchParams(query)}`);

  async function connected() {
    const human = await newHuman(on);
    const got = await getCode(on, app, { query: { scope: 'openid read' }, browser: human.browser });
    const { body } = await redeem(on, app, got);
    return { ...human, hint: body.id_token as string, refreshToken: body.refresh_token as string };
  }

  test('is named in the metadata; the human is asked, signs out and goes back with the state', async (t) => {
    const { body } = await on.get('/.well-known/openid-configuration');
    t.is(body.end_session_endpoint, `${on.url}/oauth2/end-session`);
    const { browser, mailbox, hint, refreshToken } = await connected();
    const query = { id_token_hint: hint, post_logout_redirect_uri: GOODBYE, state: 'bye' };
    const page = await leave(browser, query);
    t.is(heading(page), 'Sign out?');
    t.true(page.text.includes(mailbox));
    t.false(page.text.includes(hint));
    t.true(page.headers.get('content-security-policy')!.includes("form-action 'self' https://app.example"));
    t.true(await isIn(browser));
    await leave(browser, query);
    const back = await browser.post('/oauth2/end-session/confirm');
    t.is(back.path, `${GOODBYE}?state=bye`);
    t.false(await isIn(browser));
    // The app stays connected until it is revoked.
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: app.clientId };
    t.is((await on.form('/oauth2/token', form)).status, 200);
  });

  test('who is not signed in gets a link back, and no redirect that they did not press', async (t) => {
    const page = await leave(openBrowser(on), { client_id: app.clientId, post_logout_redirect_uri: GOODBYE });
    t.is(heading(page), 'You’re signed out');
    t.true(page.text.includes(`href="${GOODBYE}"`));
    t.true(page.text.includes('Continue to app.example'));
  });

  test('without an app, or without a way back, it ends at a page of ours', async (t) => {
    for (const query of [{}, { client_id: app.clientId }]) {
      const { browser } = await newHuman(on);
      const page = await leave(browser, query);
      t.is(heading(page), 'Sign out?');
      t.regex(page.headers.get('content-security-policy')!, /form-action 'self'(?:;|$)/);
      t.is(heading(await browser.post('/oauth2/end-session/confirm')), 'You’re signed out');
      t.false(await isIn(browser));
    }
  });

  test('leads to no URL that the app did not register, and takes no ID token but its own', async (t) => {
    const { browser, hint } = await connected();
    const other = await registerApp(on);
    const [head, claims, mac] = hint.split('.') as [string, string, string];
    const forged = [head, claims, `${mac[0] === 'A' ? 'B' : 'A'}${mac.slice(1)}`].join('.');
    const refused: Record<string, string>[] = [
      { client_id: app.clientId, post_logout_redirect_uri: 'https://evil.example/' },
      { client_id: app.clientId, post_logout_redirect_uri: `${GOODBYE}/x` },
      { client_id: other.clientId, post_logout_redirect_uri: GOODBYE },
      { post_logout_redirect_uri: GOODBYE },
      { client_id: 'cli_none' },
      { id_token_hint: 'x' },
      { id_token_hint: forged },
      { id_token_hint: hint, client_id: other.clientId },
    ];
    for (const query of refused) {
      t.is((await leave(browser, query)).status, 400, JSON.stringify(query).slice(0, 120));
    }
    t.is((await browser.get('/oauth2/end-session?state=a&state=b')).status, 400);
    await leave(browser, { client_id: app.clientId, post_logout_redirect_uri: GOODBYE });
    const form = browser.form('/oauth2/end-session/confirm');
    const tampered = { ...form, post_logout_redirect_uri: 'https://evil.example/' };
    t.is((await browser.send('/oauth2/end-session/confirm', tampered)).status, 400);
    t.true(await isIn(browser));
  });

  test('a confirmation of another site or without the token of the page signs nobody out', async (t) => {
    const { browser } = await connected();
    await leave(browser, { client_id: app.clientId });
    t.is((await browser.send('/oauth2/end-session/confirm', {})).status, 403);
    await leave(browser, { client_id: app.clientId });
    const headers = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };
    t.is((await browser.post('/oauth2/end-session/confirm', {}, headers)).status, 403);
    t.true(await isIn(browser));
  });

  const CROSS_SITE = { Origin: 'https://app.example', 'Sec-Fetch-Site': 'cross-site' };

  test('a request in a body leads to the page, and its ID token gets into no URL and no log', async (t) => {
    const { browser, hint } = await connected();
    const fields = { id_token_hint: hint, post_logout_redirect_uri: GOODBYE, state: 'bye' };
    const page = await browser.send('/oauth2/end-session', fields, CROSS_SITE);
    t.is(heading(page), 'Sign out?');
    const [, claims, mac] = hint.split('.') as [string, string, string];
    for (const text of [...page.redirects, page.path, page.text]) {
      t.false(text.includes(claims) || text.includes(mac), text.slice(0, 200));
    }
    t.false(page.text.includes('The app means another account'));
    const back = await browser.post('/oauth2/end-session/confirm');
    t.is(back.path, `${GOODBYE}?state=bye`);
    t.false(await isIn(browser));
    await leave(browser, fields);
    const lines = on.logged.filter((line) => line.includes(claims) || line.includes(mac));
    t.deepEqual(lines, []);
  });

  test('a body with a wrong ID token, or a URL that the app did not register, leads nowhere', async (t) => {
    const { browser, hint } = await connected();
    for (const fields of [
      { id_token_hint: `${hint.slice(0, -4)}AAAA` },
      { id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/' },
      { id_token_hint: hint, client_id: 'cli_other' },
    ]) {
      const page = await browser.send('/oauth2/end-session', fields, CROSS_SITE);
      t.is(page.status, 400);
      t.deepEqual(page.redirects, []);
    }
    t.true(await isIn(browser));
  });

  test('an app that means another account: the human is told, and decides about the one that is signed in', async (t) => {
    const [{ hint, mailbox: other }, { browser, mailbox }] = [await connected(), await connected()];
    const byUrl = await leave(browser, { id_token_hint: hint });
    const byBody = await browser.send('/oauth2/end-session', { id_token_hint: hint }, CROSS_SITE);
    for (const page of [byUrl, byBody]) {
      t.is(heading(page), 'Sign out?');
      t.true(page.text.includes('The app means another account'));
      t.true(page.text.includes(mailbox));
      t.false(page.text.includes(other));
    }
    t.true(await isIn(browser));
    t.is(heading(await leave(browser, { client_id: app.clientId, t: 'AAAA' })), 'Sign out?');
    await browser.post('/oauth2/end-session/confirm');
    t.false(await isIn(browser));
  });
});
