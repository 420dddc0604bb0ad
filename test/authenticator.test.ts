import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ScureBase32Plugin } from 'otplib';
import { type Browser, openBrowser, type Page } from './helpers/browser.ts';
import { countOf } from './helpers/ceremony.ts';
import { heading } from './helpers/claim-page.ts';
import { dumpOf } from './helpers/dump.ts';
import {
  appCode,
  isIn,
  recoveryCodesOn,
  SESSION,
  secretOn,
  setUpApp,
  signIn,
  typeMailedCode,
} from './helpers/human.ts';
import {
  createTestClock,
  createTestDatabase,
  onEveryEngine,
  startTestService,
  type TestService,
  wrongCode,
} from './helpers/service.ts';

const SIGN_IN = 'vouchsafe_signin';
const APP_PAGE = '/account/authenticator';
const AGAIN = `/sign-in/again?next=${APP_PAGE}`;

let made = 0;
const newMailbox = () => `careful${++made}@example.com`;

/** Runs all at once. */
const atOnce = <Item>(count: number, ask: (index: number) => Promise<Item>) =>
  Promise.all(Array.from({ length: count }, (_, index) => ask(index)));

onEveryEngine('the authenticator app', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  /** Somebody with an app, which by now shows another code than the one it was set up with. */
  async function withApp(mailbox = newMailbox(), at = on) {
    const browser = await signIn(at, mailbox);
    const { secret, recoveryCodes } = await setUpApp(at, browser);
    at.clock.advance(90);
    return { mailbox, browser, secret, recoveryCodes };
  }

  /** Types the mailed code, and stands before the second factor then. */
  async function toSecondFactor(mailbox: string, browser = openBrowser(on), at = on): Promise<Browser> {
    const page = await typeMailedCode(at, mailbox, { browser });
    assert.equal(heading(page), 'Now your app', page.text);
    return browser;
  }

  const typeSecond = (browser: Browser, code: string) => browser.post('/sign-in/code', { code });

  /** Signs in with both factors; whether that went well. */
  async function signsIn(mailbox: string, second: string, at = on): Promise<boolean> {
    const browser = await toSecondFactor(mailbox, openBrowser(at), at);
    await typeSecond(browser, second);
    return isIn(browser);
  }

  const OF_MAILBOX = 'account_id = (SELECT id FROM accounts WHERE mailbox = ?)';
  const sessionsOf = (mailbox: string) => countOf(on, `sessions WHERE ${OF_MAILBOX}`, [mailbox]);
  const appsOf = (mailbox: string) => countOf(on, `authenticators WHERE ${OF_MAILBOX}`, [mailbox]);
  const recoveryCodesOf = (mailbox: string) => countOf(on, `recovery_codes WHERE ${OF_MAILBOX}`, [mailbox]);
  const eventsOf = (mailbox: string, kind: string) =>
    countOf(on, `events WHERE kind = ? AND ${OF_MAILBOX}`, [kind, mailbox]);

  describe('setting it up', () => {
    test('stores nothing before the app’s first code; a wrong one is said on the page, which keeps its secret', async () => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      assert.match((await browser.get('/account')).text, /href="\/account\/authenticator">Set up an app</);
      const page = await browser.get(APP_PAGE);
      const secret = secretOn(page);
      assert.match(secret, /^[A-Z2-7]{32}$/);
      assert.match(page.text, /<div class="picture" [^>]*><svg /);
      assert.equal(page.headers.get('cache-control'), 'no-store');

      for (const code of [wrongCode(appCode(on, secret)), appCode(on, secret, -2), '12345', '']) {
        const again = await browser.post(APP_PAGE, { code });
        assert.equal(again.status, 400, again.text);
        assert.match(again.text, /role="alert" id="problem"><p>The code is wrong\./);
        assert.equal(secretOn(again), secret);
        assert.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [0, 0]);
      }
      assert.ok((await signIn(on, mailbox)).cookies.has(SESSION), 'the mailed code still signs in alone');

      const spaced = appCode(on, secret).replace(/^.../, '$& ');
      const done = await browser.post(APP_PAGE, { code: spaced });
      assert.equal(heading(done), 'The app is set up');
      assert.equal(new Set(recoveryCodesOn(done)).size, 10);
      for (const code of recoveryCodesOn(done)) assert.match(code, /^[a-z2-7]{4}(?:-[a-z2-7]{4}){5}$/);
      assert.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [1, 10]);

      const later = await browser.get(APP_PAGE);
      assert.match(later.text, /<h1>Your authenticator app<\/h1>[\s\S]*10 are left/);
      assert.ok(!later.text.includes(secret) && !later.text.includes(recoveryCodesOn(done)[0]!));
    });

    test('happens once: of twenty right codes at once one sets it up, and its recovery codes are the ones that count', async () => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      const secret = secretOn(await browser.get(APP_PAGE));
      const form = { ...browser.form(APP_PAGE), code: appCode(on, secret) };
      const pages = await atOnce(20, () => browser.send(APP_PAGE, form));
      const won = pages.filter(({ status }) => status === 200);
      assert.equal(won.length, 1);
      for (const page of pages) if (page !== won[0]) assert.match(page.text, /is set up already/);
      assert.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [1, 10]);
      assert.equal(await eventsOf(mailbox, 'authenticator.added'), 1);
      assert.equal(await signsIn(mailbox, recoveryCodesOn(won[0]!)[0]!), true);

      on.clock.advance(60);
      const late = await browser.send(APP_PAGE, { ...form, code: appCode(on, secret) });
      assert.equal(late.status, 400);
      assert.equal(await recoveryCodesOf(mailbox), 10);
    });

    test('takes the secret from its own session alone: a form of another, or an altered one, sets nothing up', async () => {
      const [mailbox, other] = [newMailbox(), newMailbox()];
      const [mine, theirs, secondOfMine] = [
        await signIn(on, mailbox),
        await signIn(on, other),
        await signIn(on, mailbox),
      ];
      const secret = secretOn(await theirs.get(APP_PAGE));
      const { sealed } = theirs.form(APP_PAGE);
      const code = appCode(on, secret);
      await secondOfMine.get(APP_PAGE);
      const ofSession = secondOfMine.form(APP_PAGE).sealed;
      await mine.get(APP_PAGE);
      const { csrf } = mine.form(APP_PAGE);
      const altered = `${sealed!.slice(0, -2)}AA`;
      for (const each of [sealed, ofSession, altered, '', 'x', undefined]) {
        const page = await mine.send(APP_PAGE, { csrf, sealed: each, code });
        assert.equal(page.status, 400, String(each));
        assert.equal(recoveryCodesOn(page).length, 0);
      }
      assert.equal(await appsOf(mailbox), 0);
      assert.equal(await appsOf(other), 0);
    });
  });

  describe('signing in with it', () => {
    test('the mailed code alone does not sign in any more: the next page asks for the app', async () => {
      const { mailbox, secret } = await withApp();
      const before = await sessionsOf(mailbox);
      const browser = openBrowser(on);
      const page = await typeMailedCode(on, mailbox, { browser, next: '/keys' });
      assert.equal(heading(page), 'Now your app');
      assert.equal(page.path, '/sign-in/code?next=/keys');
      assert.equal(browser.cookies.has(SESSION), false);
      assert.equal(await isIn(browser), false);
      assert.equal(await sessionsOf(mailbox), before);

      await browser.get('/sign-in/code?next=/keys');
      const done = await typeSecond(browser, appCode(on, secret));
      assert.deepEqual([heading(done), done.path], ['Your keys', '/keys']);
      assert.equal(browser.cookies.has(SIGN_IN), false);
      assert.equal(await sessionsOf(mailbox), before + 1);
    });

    test('a code of the app signs in once, also when twenty bring it at once, in one browser or in many', async () => {
      const { mailbox, secret } = await withApp();
      const before = await sessionsOf(mailbox);
      const one = await toSecondFactor(mailbox);
      const form = { ...one.form('/sign-in/code'), code: appCode(on, secret) };
      await atOnce(20, () => one.send('/sign-in/code', form));
      assert.equal(await sessionsOf(mailbox), before + 1);
      assert.equal(await signsIn(mailbox, appCode(on, secret)), false);

      const many: Browser[] = [];
      for (let count = 0; count < 20; count += 1) many.push(await toSecondFactor(mailbox));
      on.clock.advance(60);
      const code = appCode(on, secret);
      const pages = await atOnce(20, (index) => typeSecond(many[index]!, code));
      assert.equal(await sessionsOf(mailbox), before + 2);
      assert.equal(pages.filter((page) => heading(page) === 'Your account').length, 1);
      for (const page of pages) assert.ok(page.status < 500, page.text);
    });

    test('the code that set it up is used by that', async () => {
      const mailbox = newMailbox();
      const { secret } = await setUpApp(on, await signIn(on, mailbox));
      for (const steps of [0, -1]) assert.equal(await signsIn(mailbox, appCode(on, secret, steps)), false);
      on.clock.advance(30);
      assert.equal(await signsIn(mailbox, appCode(on, secret, -1)), false);
      assert.equal(await signsIn(mailbox, appCode(on, secret)), true);
    });

    test('a clock may be off by one step, either way; a step before the last used one never comes back', async () => {
      const { mailbox, secret } = await withApp();
      for (const [steps, works] of [
        [-2, false],
        [2, false],
        [-1, true],
        [-1, false],
        [0, true],
        [1, true],
        [0, false],
        [-1, false],
        [1, false],
      ] as const) {
        assert.equal(await signsIn(mailbox, appCode(on, secret, steps)), works, `step ${steps}`);
      }
      on.clock.advance(60);
      assert.equal(await signsIn(mailbox, appCode(on, secret, -1)), false, 'it was used as the coming one');
      assert.equal(await signsIn(mailbox, appCode(on, secret)), true);
    });

    test('a recovery code signs in once, in any case and without its dashes, also when twenty bring it at once', async () => {
      const { mailbox, recoveryCodes } = await withApp();
      const [first, second, third, fourth] = recoveryCodes as [string, string, string, string];
      for (const typed of [
        first.toUpperCase(),
        second.replaceAll('-', ''),
        ` ${third.replaceAll('-', ' ')} `,
      ]) {
        assert.equal(await signsIn(mailbox, typed), true, typed);
        assert.equal(await signsIn(mailbox, typed), false, typed);
      }
      assert.equal(await signsIn(mailbox, first), false);

      const before = await sessionsOf(mailbox);
      const many: Browser[] = [];
      for (let count = 0; count < 20; count += 1) many.push(await toSecondFactor(mailbox));
      await atOnce(20, (index) => typeSecond(many[index]!, fourth));
      assert.equal(await sessionsOf(mailbox), before + 1);
      assert.equal(await eventsOf(mailbox, 'recovery_code.used'), 4);
      assert.equal(
        await countOf(on, `recovery_codes WHERE used_at IS NOT NULL AND ${OF_MAILBOX}`, [mailbox]),
        4,
      );
    });

    test('a recovery code is of its own account alone', async () => {
      const [mine, theirs] = [await withApp(), await withApp()];
      assert.equal(await signsIn(mine.mailbox, theirs.recoveryCodes[0]!), false);
      assert.equal(await signsIn(mine.mailbox, appCode(on, theirs.secret)), false);
      assert.equal(await signsIn(theirs.mailbox, theirs.recoveryCodes[0]!), true);
    });

    test('the account says when recovery codes run low', async () => {
      const { mailbox, browser, recoveryCodes } = await withApp();
      assert.doesNotMatch((await browser.get('/account')).text, /recovery codes? left/);
      for (const code of recoveryCodes.slice(0, 9)) assert.equal(await signsIn(mailbox, code), true);
      assert.match((await browser.get('/account')).text, /you have only <b>1<\/b> recovery code left/);
    });

    test('the mailed code is of no use any more at the second step', async () => {
      const { mailbox, secret } = await withApp();
      const browser = await toSecondFactor(mailbox);
      const mailed = on.signInMails.findLast(({ to }) => to === mailbox)!.code;
      const page = await typeSecond(browser, mailed);
      assert.equal(page.status, 400);
      assert.match(page.text, /The code is wrong\. 4 tries are left/);
      assert.equal(await isIn(browser), false);

      // Nor does it lead to the second step again, from the same cookie as before it was typed.
      const id = browser.cookies.get(SIGN_IN)!.split('.')[0]!;
      const thief = openBrowser(on);
      await thief.get('/sign-in');
      thief.cookies.set(SIGN_IN, id);
      const answer = await thief.send('/sign-in/code', { csrf: thief.form('/sign-in').csrf, code: mailed });
      assert.equal(heading(answer), 'Sign in');
      assert.equal(await isIn(thief), false);

      await browser.get('/sign-in/code');
      await typeSecond(browser, appCode(on, secret));
      assert.equal(await isIn(browser), true);
    });

    test('whoever knows the id of a sign-in, and not its MAC, tries no second factor', async () => {
      const { mailbox, secret, recoveryCodes } = await withApp();
      const other = await withApp();
      const [browser, foreign] = [await toSecondFactor(mailbox), await toSecondFactor(other.mailbox)];
      const [id, mac] = browser.cookies.get(SIGN_IN)!.split('.') as [string, string];
      const foreignMac = foreign.cookies.get(SIGN_IN)!.split('.')[1]!;
      const lastChanged = mac.slice(0, -1) + (mac.endsWith('A') ? 'B' : 'A');
      for (const cookie of [
        id,
        `${id}.`,
        `${id}.${foreignMac}`,
        `${id}.${mac.slice(0, -1)}`,
        `${id}.${lastChanged}`,
        `${id}.${mac}A`,
        `${id.slice(0, -1)}.${mac}`,
        `.${mac}`,
      ]) {
        const thief = openBrowser(on);
        await thief.get('/sign-in');
        const { csrf } = thief.form('/sign-in');
        thief.cookies.set(SIGN_IN, cookie);
        assert.equal(heading(await thief.get('/sign-in/code')), 'Sign in', cookie);
        for (const code of [appCode(on, secret), recoveryCodes[0]!, '000000']) {
          const page = await thief.send('/sign-in/code', { csrf, code });
          assert.deepEqual([page.status, heading(page)], [400, 'Sign in'], cookie);
          assert.ok(!page.text.includes(mailbox), 'nor learns whose it is');
        }
        assert.equal(await isIn(thief), false, cookie);
      }
      assert.equal(await countOf(on, 'sign_ins WHERE id = ? AND tries = 0 AND ended_at IS NULL', [id]), 1);
      await typeSecond(browser, appCode(on, secret));
      assert.equal(await isIn(browser), true);
    });

    test('five wrong second factors end it, also when two hundred come at once, and then the right one is refused', async () => {
      const { mailbox, secret, recoveryCodes } = await withApp();
      const browser = await toSecondFactor(mailbox);
      const form = browser.form('/sign-in/code');
      const pages = await atOnce(200, (index) =>
        browser.send('/sign-in/code', {
          ...form,
          code: index % 2 === 0 ? wrongCode(appCode(on, secret)) : `aaaa-${recoveryCodes[0]!.slice(5)}`,
        }),
      );
      for (const { status } of pages) assert.ok(status === 400 || status === 503, String(status));
      assert.equal(await eventsOf(mailbox, 'session.guess_failed'), 5);
      for (const code of [appCode(on, secret), recoveryCodes[0]!]) {
        await browser.send('/sign-in/code', { ...form, code });
        assert.equal(await isIn(browser), false);
      }
      assert.equal(await signsIn(mailbox, appCode(on, secret)), true, 'what was refused is not used up');
    });

    test('wrong ones are said with the tries that are left, and count on the day’s budget of the mailbox', async (t) => {
      const tight = await startTestService(engine, { limits: { secondFactorWrongPerMailboxDay: 7 } });
      t.after(() => tight.stop());
      const { mailbox, secret } = await withApp(newMailbox(), tight);
      const first = await toSecondFactor(mailbox, openBrowser(tight), tight);
      const wrong = wrongCode(appCode(tight, secret));
      const said = async (page: Promise<Page>) => {
        const { status, text } = await page;
        return `${status} ${/(\d tries are|One try is) left/.exec(text)?.[0] ?? heading({ text } as Page)}`;
      };
      const firsts = [];
      for (let tries = 0; tries < 5; tries += 1) firsts.push(await said(typeSecond(first, wrong)));
      assert.deepEqual(firsts, [
        '400 4 tries are left',
        '400 3 tries are left',
        '400 2 tries are left',
        '400 One try is left',
        '400 Sign in',
      ]);

      const second = await toSecondFactor(mailbox, openBrowser(tight), tight);
      const form = second.form('/sign-in/code');
      assert.equal(await said(typeSecond(second, wrong)), '400 4 tries are left');
      assert.equal(
        await said(second.send('/sign-in/code', { ...form, code: wrong })),
        '400 3 tries are left',
      );
      const right = { ...form, code: appCode(tight, secret) };
      assert.equal(await said(second.send('/sign-in/code', right)), '429 That was too often');
      assert.equal(await isIn(second), false);
      tight.clock.advance(86_400);
      assert.equal(await signsIn(mailbox, appCode(tight, secret), tight), true);
    });

    test('it waits ten minutes for the app, whenever in its time the mailed code was typed', async () => {
      const { mailbox, secret } = await withApp();
      const browser = openBrowser(on);
      await browser.get('/sign-in');
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await browser.post('/sign-in', { email: mailbox });
      const code = await on.signInCodeFor(mailbox, earlier + 1);
      on.clock.advance(590);
      assert.equal(heading(await browser.post('/sign-in/code', { code })), 'Now your app');
      on.clock.advance(590);
      assert.equal(heading(await browser.get('/sign-in/code')), 'Now your app');
      const form = browser.form('/sign-in/code');
      on.clock.advance(10);
      const late = await browser.send('/sign-in/code', { ...form, code: appCode(on, secret) });
      assert.match(late.text, /has expired/);
      assert.equal(await isIn(browser), false);
    });
  });

  describe('changing it', () => {
    test('new recovery codes void the old ones, and the app stays', async () => {
      const { mailbox, secret, recoveryCodes: old } = await withApp();
      const browser = await toSecondFactor(mailbox);
      await typeSecond(browser, appCode(on, secret));
      await browser.get(APP_PAGE);
      const page = await browser.post(`${APP_PAGE}/codes`);
      assert.equal(heading(page), 'Your new recovery codes');
      const renewed = recoveryCodesOn(page);
      assert.equal(renewed.length, 10);
      assert.equal(new Set([...old, ...renewed]).size, 20);
      assert.equal(await recoveryCodesOf(mailbox), 10);
      assert.equal(await signsIn(mailbox, old[0]!), false);
      assert.equal(await signsIn(mailbox, renewed[0]!), true);
      on.clock.advance(30);
      assert.equal(await signsIn(mailbox, appCode(on, secret)), true);
    });

    test('removing it turns it off: the mailed code alone signs in, and recovery codes are gone', async () => {
      const { mailbox, secret, recoveryCodes } = await withApp();
      const browser = await toSecondFactor(mailbox);
      const waiting = await toSecondFactor(mailbox);
      await typeSecond(browser, appCode(on, secret));
      await browser.get(APP_PAGE);
      const page = await browser.post(`${APP_PAGE}/remove`);
      assert.match(page.text, /Set up an app</);
      assert.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [0, 0]);
      await typeSecond(waiting, recoveryCodes[0]!);
      assert.equal(await isIn(waiting), false);
      assert.equal(await isIn(await signIn(on, mailbox)), true);

      const fresh = await setUpApp(on, await signIn(on, mailbox));
      assert.notEqual(fresh.secret, secret);
      assert.equal(await signsIn(mailbox, recoveryCodes[0]!), false);
      assert.equal(await signsIn(mailbox, fresh.recoveryCodes[0]!), true);
    });

    test('without an app there are no recovery codes to make, and nothing to remove', async () => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      await browser.get('/account');
      const { csrf } = browser.form('/sign-out');
      const page = await browser.send(`${APP_PAGE}/codes`, { csrf });
      assert.equal(page.status, 400);
      assert.match(page.text, /There is no authenticator app to recover from/);
      assert.equal((await browser.send(`${APP_PAGE}/remove`, { csrf })).status, 200);
      assert.equal(await recoveryCodesOf(mailbox), 0);
      assert.equal(await eventsOf(mailbox, 'authenticator.removed'), 0);
    });

    test('all of it needs a code that was typed within a quarter of an hour', async () => {
      const plain = newMailbox();
      const before = await signIn(on, plain);
      const secret = secretOn(await before.get(APP_PAGE));
      const setUp = before.form(APP_PAGE);
      on.clock.advance(899);
      assert.equal((await before.get(APP_PAGE)).path, APP_PAGE);
      on.clock.advance(1);
      const asked = await before.get(APP_PAGE);
      assert.deepEqual([asked.path, heading(asked)], [AGAIN, 'Confirm that it is you']);
      const posted = await before.send(APP_PAGE, { ...setUp, code: appCode(on, secret) });
      assert.equal(posted.path, AGAIN);
      assert.equal(await appsOf(plain), 0);

      const { mailbox, secret: kept, recoveryCodes } = await withApp();
      const browser = await toSecondFactor(mailbox);
      await typeSecond(browser, appCode(on, kept));
      await browser.get(APP_PAGE);
      const { csrf } = browser.form(`${APP_PAGE}/remove`);
      on.clock.advance(900);
      for (const path of ['codes', 'remove']) {
        const page = await browser.send(`${APP_PAGE}/${path}`, { csrf });
        assert.deepEqual([page.path, recoveryCodesOn(page)], [AGAIN, []]);
      }
      assert.equal(await appsOf(mailbox), 1);
      assert.equal(await signsIn(mailbox, recoveryCodes[0]!), true);

      // Both factors are typed again, and the session is another one then.
      const [session, account] = [browser.cookies.get(SESSION)!, await browser.get(APP_PAGE)];
      assert.equal(account.path, AGAIN);
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await browser.post('/sign-in/again');
      const second = await browser.post('/sign-in/code', {
        code: await on.signInCodeFor(mailbox, earlier + 1),
      });
      assert.equal(heading(second), 'Now your app');
      assert.equal(heading(await browser.get(APP_PAGE)), 'Confirm that it is you');
      await browser.get(`/sign-in/code?next=${APP_PAGE}`);
      const back = await typeSecond(browser, appCode(on, kept));
      assert.deepEqual([back.path, heading(back)], [APP_PAGE, 'Your authenticator app']);
      assert.notEqual(browser.cookies.get(SESSION), session);
      const old = openBrowser(on);
      old.cookies.set(SESSION, session);
      assert.equal(await isIn(old), false);
    });

    test('who is not signed in is led there, and changes nothing', async () => {
      const browser = openBrowser(on);
      const page = await browser.get(APP_PAGE);
      assert.equal(page.path, `/sign-in?next=${APP_PAGE}`);
      const { csrf } = browser.form('/sign-in');
      for (const path of [APP_PAGE, `${APP_PAGE}/codes`, `${APP_PAGE}/remove`]) {
        const posted = await browser.send(path, { csrf, sealed: 'x', code: '123456' });
        assert.equal(posted.path, `/sign-in?next=${APP_PAGE}`);
      }
    });
  });

  describe('agents', () => {
    async function ask(mailbox: string, how: { link?: boolean; asserted?: boolean } = {}) {
      const { link = false, asserted = false } = how;
      const earlier = on.mails.filter(({ to }) => to === mailbox).length;
      const body = asserted
        ? { type: 'identity_assertion', assertions: [{ type: 'verified_email', email: mailbox }], link }
        : { type: 'anonymous' };
      const { claim_token, agent_id } = (await on.post('/agent/auth', body)).body.data;
      if (!asserted) await on.post('/agent/auth/claim', { claim_token, email: mailbox, link });
      const code = await on.codeFor(mailbox, earlier);
      const url = on.mails.findLast(({ to }) => to === mailbox)!.claimUrl;
      return { claim_token: claim_token as string, agent_id: agent_id as string | undefined, code, url };
    }
    const collect = (claim_token: string, otp?: string) =>
      on.post('/agent/auth/claim/complete', { claim_token, otp });

    for (const asserted of [false, true]) {
      const whose = asserted ? 'an agent that named its mailbox' : 'an anonymous agent';
      test(`merging ${whose} needs the owner signed in, whether the agent brings the code or the page does`, async () => {
        const { mailbox, secret } = await withApp();
        const asked = await ask(mailbox, { asserted });
        const before = await countOf(on, 'agents');
        for (let times = 0; times < 2; times += 1) {
          const refused = await collect(asked.claim_token, asked.code);
          assert.deepEqual([refused.status, refused.body.error.code], [401, 'interaction_required']);
          assert.equal(refused.body.error.verification_uri, asked.url);
          assert.doesNotMatch(refused.text, /sk_/);
        }

        const human = openBrowser(on);
        assert.equal(heading(await human.get(asked.url)), 'Do you vouch for this agent?');
        const page = await human.post('/claim', { code: asked.code });
        assert.equal(page.status, 401);
        assert.match(page.text, /href="\/sign-in\?next=\/claim"/);
        assert.equal((await collect(asked.claim_token)).body.error.code, 'authorization_pending');
        assert.equal(await countOf(on, 'agents'), before);

        // The mailed code alone does not sign in either.
        const second = await typeMailedCode(on, mailbox, { browser: human, next: '/claim' });
        assert.equal(heading(second), 'Now your app');
        await human.get(asked.url);
        assert.equal((await human.post('/claim', { code: asked.code })).status, 401);

        await human.get('/sign-in/code?next=/claim');
        const review = await typeSecond(human, appCode(on, secret));
        assert.deepEqual([review.path, heading(review)], ['/claim', 'Do you vouch for this agent?']);
        assert.match(review.text, /<label for="code">Code from the mail/);
        const approved = await human.post('/claim', { code: asked.code });
        assert.equal(heading(approved), 'You have vouched for this agent');
        const collected = await collect(asked.claim_token);
        assert.equal(collected.status, 200, collected.text);
        assert.equal(collected.body.data.mode, 'merge');
        const me = await on.get('/api/me', collected.body.data.credential);
        assert.deepEqual(me.body.data.scopes, ['read', 'write']);
      });
    }

    test('linking needs the code alone, by either way', async () => {
      const { mailbox } = await withApp();
      const byAgent = await ask(mailbox, { link: true });
      assert.equal((await collect(byAgent.claim_token, byAgent.code)).body.data.mode, 'link');

      const byPage = await ask(mailbox, { link: true });
      const human = openBrowser(on);
      await human.get(byPage.url);
      assert.equal(
        heading(await human.post('/claim', { code: byPage.code })),
        'You have vouched for this agent',
      );
      assert.equal((await collect(byPage.claim_token)).body.data.mode, 'link');
    });

    test('an approval from before the app was set up does not merge after it', async () => {
      const mailbox = newMailbox();
      const owner = await signIn(on, mailbox);
      const asked = await ask(mailbox);
      const human = openBrowser(on);
      await human.get(asked.url);
      await human.post('/claim', { code: asked.code });
      await setUpApp(on, owner);
      const refused = await collect(asked.claim_token);
      assert.deepEqual([refused.status, refused.body.error.code], [401, 'interaction_required']);
      assert.equal(await countOf(on, `agents WHERE owned_at IS NOT NULL AND ${OF_MAILBOX}`, [mailbox]), 0);
    });

    test('before a right code nothing tells a mailbox with an app from one without, or from one that is unknown', async () => {
      const { mailbox: guarded } = await withApp();
      const [plain, unknown] = [newMailbox(), newMailbox()];
      await signIn(on, plain);

      const seen = [];
      for (const mailbox of [guarded, plain, unknown]) {
        const mask = mailbox.replace(/^(.).*@/, '$1***@');
        const hide = (text: string) =>
          text
            .replaceAll(mailbox, 'M')
            .replaceAll(mask, 'M')
            .replaceAll(/value="[^"]*"/g, '')
            .replaceAll(/"(?:request_id|verification_uri)":"[^"]*"/g, '');
        const shown = ({ status, text, path }: Page) => [status, path, hide(text)];

        const browser = openBrowser(on);
        await browser.get('/sign-in');
        const mailed = await browser.post('/sign-in', { email: mailbox });
        const code = await on.signInCodeFor(
          mailbox,
          on.signInMails.filter(({ to }) => to === mailbox).length || 1,
        );
        const mistyped = await browser.post('/sign-in/code', { code: wrongCode(code) });

        const asked = await ask(mailbox);
        const human = openBrowser(on);
        const review = await human.get(asked.url);
        const wrong = await human.post('/claim', { code: wrongCode(asked.code) });
        const byAgent = await collect(asked.claim_token, wrongCode(asked.code));
        const poll = await collect(asked.claim_token);
        seen.push({
          signIn: [shown(mailed), shown(mistyped)],
          claim: [shown(review), shown(wrong)],
          agent: [byAgent, poll].map(({ status, text }) => [status, hide(text)]),
        });
      }
      assert.deepEqual(seen[0], seen[1]);
      assert.deepEqual(seen[0], seen[2]);
    });
  });

  test('the database and the log hold neither the secret nor a recovery code, nor do mails', async () => {
    const { mailbox, secret, recoveryCodes } = await withApp();
    const browser = await toSecondFactor(mailbox);
    await typeSecond(browser, appCode(on, secret));
    await browser.get(APP_PAGE);
    const renewed = recoveryCodesOn(await browser.post(`${APP_PAGE}/codes`));
    assert.equal(await signsIn(mailbox, renewed[0]!), true);
    on.service.deps.wakeOutbox();
    await on.noticeTo(mailbox);

    const base32 = new ScureBase32Plugin();
    const texts = [secret, ...recoveryCodes, ...renewed];
    const hidden = texts.flatMap((text) => {
      const plain = text.replaceAll('-', '');
      const bytes = Buffer.from(base32.decode(plain.toUpperCase()));
      const spelt = [text, plain, plain.toUpperCase(), plain.toLowerCase(), plain.slice(0, 16)];
      return [
        ...spelt,
        ...(['latin1', 'hex', 'base64', 'base64url'] as const).map((as) => bytes.toString(as)),
      ];
    });
    const dump = await dumpOf(on);
    assert.ok(dump.includes(mailbox), 'the dump is not the one that was looked for');
    const mails = (await on.request('GET', '/dev/mailbox.json')).text;
    assert.match(mails, /recovery code/);
    const log = on.logged.join('\n');
    for (const text of hidden) {
      for (const [where, content] of Object.entries({ dump, mails, log })) {
        assert.ok(!content.includes(text), `${where}: ${JSON.stringify(text)}`);
      }
    }
  });
});

onEveryEngine('a new service secret', (engine) => {
  const [old, young] = ['5b1cf2a90d7e4638b15b1cf2a90d7e4638b1', 'e94d07b8c3a2516f0de94d07b8c3a2516f0d'];

  test('leaves an app working while the old one is listed, and after one use without it', async () => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const start = (SECRET: string) => startTestService(engine, { database, clock, env: { SECRET } });
    /** Signs in with both factors; whether that went well. */
    async function signsIn(on: TestService, mailbox: string, second: string): Promise<boolean> {
      const browser = openBrowser(on);
      assert.equal(heading(await typeMailedCode(on, mailbox, { browser })), 'Now your app');
      await browser.post('/sign-in/code', { code: second });
      return isIn(browser);
    }
    const [used, unused] = [newMailbox(), newMailbox()];
    let on = await start(old);
    try {
      const app = await setUpApp(on, await signIn(on, used));
      const forgotten = await setUpApp(on, await signIn(on, unused));
      const waiting = openBrowser(on);
      await typeMailedCode(on, used, { browser: waiting });
      clock.advance(60);
      await on.stop();

      on = await start(`${young} ${old}`);
      // Who had typed the mailed code under the old one goes on.
      const goesOn = openBrowser(on);
      for (const [name, value] of waiting.cookies) goesOn.cookies.set(name, value);
      assert.equal(heading(await goesOn.get('/sign-in/code')), 'Now your app');
      await goesOn.post('/sign-in/code', { code: appCode(on, app.secret) });
      assert.equal(await isIn(goesOn), true);
      assert.equal(await signsIn(on, used, app.recoveryCodes[0]!), true);
      clock.advance(60);
      await on.stop();

      on = await start(young);
      assert.equal(await signsIn(on, used, appCode(on, app.secret)), true);
      assert.equal(await signsIn(on, used, app.recoveryCodes[1]!), true);
      // Without a use in between the app is lost with the secret; recovery codes are not.
      assert.equal(await signsIn(on, unused, appCode(on, forgotten.secret)), false);
      assert.equal(await signsIn(on, unused, forgotten.recoveryCodes[0]!), true);
    } finally {
      await on.stop();
      await database.drop();
    }
  });
});
