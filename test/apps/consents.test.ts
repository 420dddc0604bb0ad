import { DAY_MS } from '../../src/lib/time.ts';
import { insertOAuthGrant } from '../../src/store/oauth-grants.ts';
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
  registerApp,
} from '../helpers/app-client.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import type { Page } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { bearer, newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const FILE = {
  scopes: {
    read: { description: 'Look, list and search' },
    write: { description: 'Create and change' },
    delete: { description: 'Remove documents for good', destructive: true },
    secret: { description: 'Something that apps never get' },
  },
  humanScopes: ['read', 'write', 'delete'],
};

const QUESTION = 'Approve this app?';
const CONFIRM = 'Confirm it’s you';

const RESOURCE = 'https://api.example.com';

const query = (scope: string, more: Record<string, string> = {}) => ({ scope, resource: RESOURCE, ...more });

/** The scopes whose boxes are ticked. */
const ticked = ({ text }: Page) =>
  [...text.matchAll(/name="scope:(\w+)" value="on" checked/g)].map(([, name]) => name);
const boxes = ({ text }: Page) => [...text.matchAll(/name="scope:(\w+)"/g)].map(([, name]) => name);

/** An app that a human let read and write. */
async function connect(on: TestService, metadata: Record<string, unknown> = {}, redirect_uri = REDIRECT) {
  const app = await registerApp(on, metadata);
  const { browser, mailbox } = await newHuman(on);
  const got = await getCode(on, app, {
    query: query('read write', { redirect_uri }),
    boxes: ['scope:read', 'scope:write'],
    browser,
  });
  const { body } = await redeem(on, app, got);
  return { app, browser, mailbox, token: body.access_token as string };
}

onEveryEngine('the consent to an app', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await withConfigFile(FILE, (CONFIG) => startTestService(engine, { env: { CONFIG } }));
    api = await addApi(on, RESOURCE);
  });
  test.after(() => on.stop());

  const connected = (...of: [metadata?: Record<string, unknown>, redirect?: string]) => connect(on, ...of);

  test('is remembered for the same and for less, and gives no more than was asked for', async (t) => {
    const { app, browser } = await connected();
    for (const [scope, given] of [
      ['read write', 'read write'],
      ['read', 'read'],
    ] as const) {
      const asked = askFor(app, query(scope));
      const back = await browser.get(asked.path);
      t.like(answerOf(back), { state: 'st', iss: on.url });
      const { body } = await redeem(on, app, { code: answerOf(back).code!, asked });
      t.is(body.scope, given);
    }
    t.is(answerOf(await browser.get(askFor(app, query('read', { prompt: 'none' })).path)).error, undefined);
  });

  test('is asked for again where it is for more, another API, another redirect URI, or demanded', async (t) => {
    const other = `${REDIRECT}/other`;
    const { app, browser } = await connected({ redirect_uris: [REDIRECT, other] });
    const second = await addApi(on, 'https://second.example.com');
    const cases: Record<string, string>[] = [
      query('read write delete'),
      query('read openid'),
      { scope: 'read', resource: second.resource },
      query('read', { redirect_uri: other }),
      query('read', { prompt: 'consent' }),
      query('read', { prompt: 'select_account' }),
      query('read', { login_hint: newMailbox() }),
    ];
    for (const each of cases) {
      t.is(heading(await browser.get(askFor(app, each).path)), QUESTION, JSON.stringify(each));
      if (each.prompt !== undefined) continue;
      const silent = answerOf(await browser.get(askFor(app, { ...each, prompt: 'none' }).path));
      t.like(silent, { error: 'consent_required', iss: on.url, state: 'st' });
    }
  });

  test('is asked for each time where a program on the computer listens', async (t) => {
    const redirect_uri = 'http://127.0.0.1:33418/callback';
    const { app, browser } = await connected({ redirect_uris: [redirect_uri] }, redirect_uri);
    t.is(heading(await browser.get(askFor(app, query('read', { redirect_uri })).path)), QUESTION);
  });

  test('ends when the client changes, and is asked for anew', async (t) => {
    const { app, browser, token } = await connected();
    const { registration_client_uri: uri, registration_access_token: rat } = app.registered;
    const changed = await on.request('PUT', new URL(uri).pathname, {
      headers: { ...bearer(rat), 'Content-Type': 'application/json' },
      body: JSON.stringify({
        client_id: app.clientId,
        client_name: 'Marlin Editor',
        redirect_uris: [REDIRECT, 'https://app.example/new'],
        token_endpoint_auth_method: 'none',
      }),
    });
    t.is(changed.status, 200, changed.text);
    t.false(await api.isActive(token));
    t.is(heading(await browser.get(askFor(app, query('read')).path)), QUESTION);
  });

  test('step-up: the page shows what the app has, and the token so far stays as it was', async (t) => {
    const { app, browser, token } = await connected();
    const asked = askFor(app, query('delete'));
    const page = await browser.get(asked.path);
    t.deepEqual(boxes(page), ['read', 'write', 'delete']);
    t.deepEqual(ticked(page), ['read', 'write']);
    t.is(page.text.match(/Has now/g)?.length, 2);
    const back = await decide(browser, page, 'approve', ['scope:read', 'scope:write', 'scope:delete']);
    const { body } = await redeem(on, app, { code: answerOf(back).code!, asked });
    t.is(body.scope, 'delete');
    t.true(await api.isActive(body.access_token));
    t.true(await api.isActive(token));
    t.deepEqual((await api.verifier().verify(token)).scopes, ['read', 'write']);
  });

  test('what assertions of a provider gave the app is not what the human gave it: the page shows it as new', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    const { db } = on.service.deps;
    const account = await db.get<{ id: string }>('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]);
    await db.tx((tx) =>
      insertOAuthGrant(tx, {
        id: `con_${app.clientId}`,
        accountId: account!.id,
        clientId: app.clientId,
        resource: api.resource,
        scope: 'read delete',
        openidScope: '',
        redirectUri: '',
        principal: 'somebody',
        createdAt: on.clock(),
        expiresAt: on.clock() + DAY_MS,
      }),
    );
    const page = await browser.get(askFor(app, query('read')).path);
    t.deepEqual(boxes(page), ['read']);
    t.false(page.text.includes('Has now'));
    t.true(page.text.includes('You haven’t approved this app before.'));
  });

  test('a destructive permission that the app has: the page says that approving without its box takes it away', async (t) => {
    const { app, browser } = await connected();
    const first = await browser.get(askFor(app, query('read delete')).path);
    t.true(first.text.includes('Off unless you turn it on.'));
    await decide(browser, first, 'approve', ['scope:read', 'scope:delete']);
    const asked = askFor(app, query('read delete', { prompt: 'consent' }));
    const page = await browser.get(asked.path);
    t.false(ticked(page).includes('delete'));
    const label = page.text.match(/<label[^>]*>(?:(?!<\/label>)[\s\S])*scope:delete[\s\S]*?<\/label>/)![0];
    t.true(label.includes('Has now'));
    t.true(label.includes('Approving takes it away unless you turn it on.'));
    const back = await decide(browser, page, 'approve', ['scope:read']);
    t.is((await redeem(on, app, { code: answerOf(back).code!, asked })).body.scope, 'read');
    const after = await browser.get(askFor(app, query('read delete', { prompt: 'consent' })).path);
    t.true(after.text.includes('Off unless you turn it on.'));
  });

  test('narrowed: what is unticked is gone, also from the tokens so far', async (t) => {
    const { app, browser, token } = await connected();
    const asked = askFor(app, query('read write', { prompt: 'consent' }));
    const back = await decide(browser, await browser.get(asked.path), 'approve', ['scope:read']);
    const { body } = await redeem(on, app, { code: answerOf(back).code!, asked });
    t.is(body.scope, 'read');
    t.false(await api.isActive(token));
    t.true(await api.isActive(body.access_token));
  });

  test('a later request without openid takes nothing away', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const first = await redeem(
      on,
      app,
      await getCode(on, app, {
        query: query('openid email read'),
        boxes: ['scope:read', 'openid:email'],
        browser,
      }),
    );
    const page = await browser.get(askFor(app, query('write')).path);
    await decide(browser, page, 'approve', ['scope:read', 'scope:write', 'openid:email']);
    t.true(await api.isActive(first.body.access_token));
  });

  test('nothing ticked, or only what the app has: the page says so and nothing is given', async (t) => {
    const { app, browser } = await connected();
    const page = await browser.get(askFor(app, query('delete')).path);
    for (const given of [[], ['scope:read']]) {
      const again = await decide(browser, page, 'approve', given);
      t.is(again.status, 400);
      t.true(again.text.includes('Nothing is selected.'));
      t.deepEqual(ticked(again), given.length === 0 ? [] : ['read']);
    }
  });

  test('nobody is asked for what nobody can give: the app hears invalid_scope', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    for (const scope of [
      'secret',
      'unknown',
      'unknown offline_access',
      'email',
      'profile',
      'offline_access',
    ]) {
      for (const resource of [{ resource: RESOURCE }, {}]) {
        const asked = askFor(app, { scope, ...resource });
        t.like(answerOf(await browser.get(asked.path)), { error: 'invalid_scope', iss: on.url }, scope);
        const form = Object.fromEntries(new URL(asked.path, on.url).searchParams);
        t.is(errorOf(await on.form('/oauth2/par', form)), '400 invalid_scope', scope);
      }
    }
    t.is(heading(await browser.get(askFor(app, query('unknown openid')).path)), QUESTION);
    t.is(heading(await browser.get(askFor(app, query('unknown read')).path)), QUESTION);
  });

  test('gives no scope beyond humanScopes, whatever is asked for or ticked', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const asked = askFor(app, query('read secret'));
    const page = await browser.get(asked.path);
    t.deepEqual(boxes(page), ['read']);
    const back = await decide(browser, page, 'approve', ['scope:read', 'scope:secret']);
    const { body } = await redeem(on, app, { code: answerOf(back).code!, asked });
    t.is(body.scope, 'read');
    const all = await browser.get(askFor(await registerApp(on), { resource: RESOURCE }).path);
    t.deepEqual(boxes(all), ['read', 'write', 'delete']);
  });

  test('the page says at which API, and in words what the app learns of the human and how long it stays', async (t) => {
    const { browser } = await newHuman(on);
    const asked = askFor(
      await registerApp(on),
      query('openid email profile offline_access read', { prompt: 'consent' }),
    );
    const page = await browser.get(asked.path);
    for (const words of [
      'At API (api.example.com)',
      'See your email address',
      'See your name',
      'Stay connected until you revoke it',
    ]) {
      t.true(page.text.includes(words), words);
    }
  });

  test('"Not you?": who is signed in leaves, and another one decides about the same request', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    const asked = askFor(app, query('read'));
    const page = await browser.get(asked.path);
    t.regex(page.text, /<button type="submit" class="link" form="switch">Not you\?<\/button>/);
    const left = await browser.post(`${page.path}/switch`);
    t.is(heading(left), 'Sign in');
    t.is(left.headers.get('cross-origin-opener-policy'), 'unsafe-none');
    const other = newMailbox();
    await browser.post('/sign-in', { email: other });
    const own = await browser.post('/sign-in/code', { code: await on.signInCodeFor(other) });
    t.is(heading(own), QUESTION);
    t.true(own.text.includes(other));
    t.false(own.text.includes(mailbox));
    const back = await decide(browser, own, 'approve');
    t.like(answerOf(back), { state: 'st', iss: on.url });
    t.is((await redeem(on, app, { code: answerOf(back).code!, asked })).status, 200);
  });

  test('two people in one browser: what one is about to get, the other does not get in their place', async (t) => {
    const { app, browser, mailbox } = await connected();
    // One signed in; the request stands right before it goes back to the app without a question.
    browser.cookies.delete('vouchsafe_session');
    const asked = askFor(app, query('read'));
    const page = await browser.get(asked.path);
    t.is(heading(page), 'Sign in');
    await browser.post('/sign-in', { email: mailbox });
    const waiting = await browser.post('/sign-in/code', { code: await on.signInCodeFor(mailbox, 2) });
    t.is(heading(waiting), 'You’re signed in');
    const [, resume] = /class="button main full" href="([^"]*)"/.exec(waiting.text)!;
    browser.cookies.delete('vouchsafe_session');
    await signIn(on, newMailbox(), { browser });
    const refused = await browser.get(resume!);
    t.is(refused.status, 404);
    t.false(refused.text.includes(mailbox));
    browser.cookies.delete('vouchsafe_session');
    t.is((await browser.get(resume!)).status, 404);
  });

  test('a sign-in within a request that needs no decision ends at a page of ours, which links to the app', async (t) => {
    const { app, browser, mailbox } = await connected();
    browser.cookies.delete('vouchsafe_session');
    const asked = askFor(app, query('read'));
    await browser.get(asked.path);
    await browser.post('/sign-in', { email: mailbox });
    const page = await browser.post('/sign-in/code', { code: await on.signInCodeFor(mailbox, 2) });
    t.is(page.status, 200);
    t.is(heading(page), 'You’re signed in');
    t.true(page.text.includes('Continue to app.example'));
    t.true(page.redirects.every((each) => each.startsWith(on.url)));
    const [, resume] = /class="button main full" href="([^"]*)"/.exec(page.text)!;
    const back = await browser.get(resume!);
    t.is((await redeem(on, app, { code: answerOf(back).code!, asked })).status, 200);
  });

  test('no page of a request can be framed, and the consent alone leads to the app by a form', async (t) => {
    const app = await registerApp(on);
    const { browser } = await newHuman(on);
    const page = await browser.get(askFor(app, query('read')).path);
    const policy = page.headers.get('content-security-policy')!;
    t.true(policy.includes("frame-ancestors 'none'"));
    t.is(page.headers.get('x-frame-options'), 'DENY');
    t.true(
      policy.includes("form-action 'self' https://app.example;") ||
        policy.endsWith("form-action 'self' https://app.example"),
    );
    t.is(page.headers.get('cross-origin-opener-policy'), 'unsafe-none');
    browser.cookies.delete('vouchsafe_session');
    const signInPage = await browser.get(askFor(app, query('read')).path);
    t.is(heading(signInPage), 'Sign in');
    t.is(signInPage.headers.get('cross-origin-opener-policy'), 'unsafe-none');
    t.false(signInPage.headers.get('content-security-policy')!.includes('app.example'));
    t.is((await browser.get('/sign-in')).headers.get('cross-origin-opener-policy'), 'same-origin');
  });
});

onEveryEngine('the consent to an app, as time goes by', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await withConfigFile(FILE, (CONFIG) => startTestService(engine, { env: { CONFIG } }));
    await addApi(on, RESOURCE);
  });
  test.after(() => on.stop());

  test('what is destructive needs a fresh code: the ticks come back, and nothing is given before a second press', async (t) => {
    const app = await registerApp(on);
    const { browser, mailbox } = await newHuman(on);
    on.clock.advance(16 * 60);
    const asked = askFor(app, query('read write delete'));
    const page = await browser.get(asked.path);
    t.deepEqual(ticked(page), ['read', 'write']);
    const confirm = await decide(browser, page, 'approve', ['scope:read', 'scope:delete']);
    t.is(heading(confirm), CONFIRM);
    t.is(confirm.headers.get('cross-origin-opener-policy'), 'unsafe-none');
    const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
    await browser.post('/sign-in/again');
    const code = await on.signInCodeFor(mailbox, earlier + 1);
    const back = await browser.post('/sign-in/code', { code });
    t.is(heading(back), QUESTION);
    t.deepEqual(ticked(back), ['read', 'delete']);
    t.true(back.text.includes('Nothing is approved yet'));
    t.is(
      answerOf(await browser.get(askFor(app, query('read', { prompt: 'none' })).path)).error,
      'consent_required',
    );
    await browser.get(back.path);
    const done = await decide(browser, back, 'approve', ['scope:read', 'scope:delete']);
    const { body } = await redeem(on, app, { code: answerOf(done).code!, asked });
    t.is(body.scope, 'read delete');
  });

  test('is not remembered after 90 days, by another app of the same name, nor by another human', async (t) => {
    const { app, browser, mailbox } = await connect(on);
    const twin = await registerApp(on);
    t.is(heading(await browser.get(askFor(twin, query('read')).path)), QUESTION);
    const { browser: other } = await newHuman(on);
    t.is(heading(await other.get(askFor(app, query('read')).path)), QUESTION);
    on.clock.advance(91 * 86_400);
    const later = await signIn(on, mailbox);
    t.is(heading(await later.get(askFor(app, query('read')).path)), QUESTION);
  });
});
