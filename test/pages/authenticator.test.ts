import { ScureBase32Plugin } from 'otplib';
import { openBrowser } from '../helpers/browser.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { dumpOf } from '../helpers/dump.ts';
import {
  appCode,
  isIn,
  recoveryCodesOn,
  SESSION,
  secretOn,
  setUpApp,
  signIn,
  typeMailedCode,
} from '../helpers/human.ts';
import { secondFactorSteps } from '../helpers/second-factor.ts';
import {
  createTestClock,
  createTestDatabase,
  startTestService,
  type TestService,
  wrongCode,
} from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const APP_PAGE = '/account/authenticator';
const AGAIN = `/sign-in/again?next=${APP_PAGE}`;

onEveryEngine('the authenticator app', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const { withApp, toSecondFactor, typeSecond, signsIn, appsOf, recoveryCodesOf, eventsOf } =
    secondFactorSteps(() => ({ on }));

  test.describe('setting it up', (test) => {
    test('stores nothing before the app’s first code; a wrong one is said on the page, which keeps its secret', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      t.regex((await browser.get('/account')).text, /href="\/account\/authenticator">Set up an app</);
      const page = await browser.get(APP_PAGE);
      const secret = secretOn(page);
      t.regex(secret, /^[A-Z2-7]{32}$/);
      t.regex(page.text, /<div class="picture" [^>]*><svg /);
      t.is(page.headers.get('cache-control'), 'no-store');

      for (const code of [wrongCode(appCode(on, secret)), appCode(on, secret, -2), '12345', '']) {
        const again = await browser.post(APP_PAGE, { code });
        t.is(again.status, 400, again.text);
        t.regex(again.text, /<p class="error" id="problem"><svg .*<span>That code isn’t right\./);
        t.is(secretOn(again), secret);
        t.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [0, 0]);
      }
      t.true((await signIn(on, mailbox)).cookies.has(SESSION), 'the mailed code still signs in alone');

      const spaced = appCode(on, secret).replace(/^.../, '$& ');
      const done = await browser.post(APP_PAGE, { code: spaced });
      t.is(heading(done), 'Two-step sign-in is on');
      t.is(new Set(recoveryCodesOn(done)).size, 10);
      for (const code of recoveryCodesOn(done)) t.regex(code, /^[a-z2-7]{4}(?:-[a-z2-7]{4}){5}$/);
      t.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [1, 10]);

      const later = await browser.get(APP_PAGE);
      t.regex(later.text, /<h1>Two-step sign-in<\/h1>[\s\S]*10 recovery codes left/);
      t.true(!later.text.includes(secret) && !later.text.includes(recoveryCodesOn(done)[0]!));
    });

    test('happens once: of twenty right codes at once one sets it up, and its recovery codes are the ones that count', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      const secret = secretOn(await browser.get(APP_PAGE));
      const form = { ...browser.form(APP_PAGE), code: appCode(on, secret) };
      const pages = await atOnce(20, () => browser.send(APP_PAGE, form));
      const won = pages.filter(({ status }) => status === 200);
      t.is(won.length, 1);
      for (const page of pages)
        if (page !== won[0]) t.regex(page.text, /An app is set up already\. To use another one,/);
      t.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [1, 10]);
      t.is(await eventsOf(mailbox, 'authenticator.added'), 1);
      t.true(await signsIn(mailbox, recoveryCodesOn(won[0]!)[0]!));

      on.clock.advance(60);
      const late = await browser.send(APP_PAGE, { ...form, code: appCode(on, secret) });
      t.is(late.status, 400);
      t.is(await recoveryCodesOf(mailbox), 10);
    });

    test('takes the secret from its own session alone: a form of another, or an altered one, sets nothing up', async (t) => {
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
        t.is(page.status, 400, String(each));
        t.is(recoveryCodesOn(page).length, 0);
      }
      t.is(await appsOf(mailbox), 0);
      t.is(await appsOf(other), 0);
    });
  });

  test.describe('changing it', (test) => {
    test('new recovery codes void the old ones, and the app stays', async (t) => {
      const { mailbox, secret, recoveryCodes: old } = await withApp();
      const browser = await toSecondFactor(mailbox);
      await typeSecond(browser, appCode(on, secret));
      await browser.get(APP_PAGE);
      const page = await browser.post(`${APP_PAGE}/codes`);
      t.is(heading(page), 'Your new recovery codes');
      const renewed = recoveryCodesOn(page);
      t.is(renewed.length, 10);
      t.is(new Set([...old, ...renewed]).size, 20);
      t.is(await recoveryCodesOf(mailbox), 10);
      t.false(await signsIn(mailbox, old[0]!));
      t.true(await signsIn(mailbox, renewed[0]!));
      on.clock.advance(30);
      t.true(await signsIn(mailbox, appCode(on, secret)));
    });

    test('removing it turns it off: the mailed code alone signs in, and recovery codes are gone', async (t) => {
      const { mailbox, secret, recoveryCodes } = await withApp();
      const browser = await toSecondFactor(mailbox);
      const waiting = await toSecondFactor(mailbox);
      await typeSecond(browser, appCode(on, secret));
      await browser.get(APP_PAGE);
      const asked = await browser.get(`${APP_PAGE}/remove`);
      t.is(heading(asked), 'Turn off two-step sign-in?');
      t.regex(asked.text, /10 recovery codes left/);
      t.is((await browser.send(`${APP_PAGE}/remove`, { csrf: 'x' })).status, 403);
      t.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [1, 10], 'nothing is changed yet');
      await browser.get(`${APP_PAGE}/remove`);
      const page = await browser.post(`${APP_PAGE}/remove`);
      t.regex(page.text, /role="status"[\s\S]*Two-step sign-in is off\./);
      t.regex(page.text, /Set up an app</);
      t.deepEqual([await appsOf(mailbox), await recoveryCodesOf(mailbox)], [0, 0]);
      await typeSecond(waiting, recoveryCodes[0]!);
      t.false(await isIn(waiting));
      t.true(await isIn(await signIn(on, mailbox)));

      const fresh = await setUpApp(on, await signIn(on, mailbox));
      t.not(fresh.secret, secret);
      t.false(await signsIn(mailbox, recoveryCodes[0]!));
      t.true(await signsIn(mailbox, fresh.recoveryCodes[0]!));
    });

    test('without an app there are no recovery codes to make, and nothing to remove', async (t) => {
      const mailbox = newMailbox();
      const browser = await signIn(on, mailbox);
      await browser.get('/account');
      const { csrf } = browser.form('/sign-out');
      const page = await browser.send(`${APP_PAGE}/codes`, { csrf });
      t.is(page.status, 400);
      t.regex(page.text, /<h1>Set up an app<\/h1>/);
      t.regex(page.text, /role="alert"[\s\S]*?This form was out of date\. Scan the new picture/);
      t.is((await browser.get(`${APP_PAGE}/remove`)).path, '/account');
      t.is((await browser.send(`${APP_PAGE}/remove`, { csrf })).status, 200);
      t.is(await recoveryCodesOf(mailbox), 0);
      t.is(await eventsOf(mailbox, 'authenticator.removed'), 0);
    });

    test('all of it needs a code that was typed within a quarter of an hour', async (t) => {
      const plain = newMailbox();
      const before = await signIn(on, plain);
      const secret = secretOn(await before.get(APP_PAGE));
      const setUp = before.form(APP_PAGE);
      on.clock.advance(899);
      t.is((await before.get(APP_PAGE)).path, APP_PAGE);
      on.clock.advance(1);
      const asked = await before.get(APP_PAGE);
      t.deepEqual([asked.path, heading(asked)], [AGAIN, 'Confirm it’s you']);
      const posted = await before.send(APP_PAGE, { ...setUp, code: appCode(on, secret) });
      t.is(posted.path, AGAIN);
      t.is(await appsOf(plain), 0);

      const { mailbox, secret: kept, recoveryCodes } = await withApp();
      const browser = await toSecondFactor(mailbox);
      await typeSecond(browser, appCode(on, kept));
      await browser.get(APP_PAGE);
      const { csrf } = browser.form(`${APP_PAGE}/codes`);
      on.clock.advance(900);
      for (const path of ['codes', 'remove']) {
        const page = await browser.send(`${APP_PAGE}/${path}`, { csrf });
        t.deepEqual([page.path, recoveryCodesOn(page)], [AGAIN, []]);
      }
      t.is((await browser.get(`${APP_PAGE}/remove`)).path, AGAIN);
      t.is(await appsOf(mailbox), 1);
      t.true(await signsIn(mailbox, recoveryCodes[0]!));

      // Both factors are typed again, and the session is another one then.
      const [session, account] = [browser.cookies.get(SESSION)!, await browser.get(APP_PAGE)];
      t.is(account.path, AGAIN);
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await browser.post('/sign-in/again');
      const second = await browser.post('/sign-in/code', {
        code: await on.signInCodeFor(mailbox, earlier + 1),
      });
      t.is(heading(second), 'Enter the code from your app');
      t.is(heading(await browser.get(APP_PAGE)), 'Confirm it’s you');
      await browser.get(`/sign-in/code?next=${APP_PAGE}`);
      const back = await typeSecond(browser, appCode(on, kept));
      t.deepEqual([back.path, heading(back)], [APP_PAGE, 'Two-step sign-in']);
      t.not(browser.cookies.get(SESSION), session);
      const old = openBrowser(on);
      old.cookies.set(SESSION, session);
      t.false(await isIn(old));
    });

    test('who is not signed in is led there, and changes nothing', async (t) => {
      const browser = openBrowser(on);
      const page = await browser.get(APP_PAGE);
      t.is(page.path, `/sign-in?next=${APP_PAGE}`);
      t.is((await browser.get(`${APP_PAGE}/remove`)).path, `/sign-in?next=${APP_PAGE}`);
      const { csrf } = browser.form('/sign-in');
      for (const path of [APP_PAGE, `${APP_PAGE}/codes`, `${APP_PAGE}/remove`]) {
        const posted = await browser.send(path, { csrf, sealed: 'x', code: '123456' });
        t.is(posted.path, `/sign-in?next=${APP_PAGE}`);
      }
    });
  });

  test('the database and the log hold neither the secret nor a recovery code, nor do mails', async (t) => {
    const { mailbox, secret, recoveryCodes } = await withApp();
    const browser = await toSecondFactor(mailbox);
    await typeSecond(browser, appCode(on, secret));
    await browser.get(APP_PAGE);
    const renewed = recoveryCodesOn(await browser.post(`${APP_PAGE}/codes`));
    t.true(await signsIn(mailbox, renewed[0]!));
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
    t.true(dump.includes(mailbox), 'the dump is not the one that was looked for');
    const mails = (await on.request('GET', '/dev/mailbox.json')).text;
    t.true(mails.includes(mailbox), 'the mails are not those that were looked for');
    const log = on.logged.join('\n');
    for (const text of hidden) {
      for (const [where, content] of Object.entries({ dump, mails, log })) {
        t.false(content.includes(text), `${where}: ${JSON.stringify(text)}`);
      }
    }
  });
});

onEveryEngine('a new service secret', (engine, test) => {
  const [old, young] = ['5b1cf2a90d7e4638b15b1cf2a90d7e4638b1', 'e94d07b8c3a2516f0de94d07b8c3a2516f0d'];

  test('leaves an app working while the old one is listed, and after one use without it', async (t) => {
    const database = await createTestDatabase(engine);
    const clock = createTestClock();
    const start = (SECRET: string) => startTestService(engine, { database, clock, env: { SECRET } });
    /** Signs in with both factors; whether that went well. */
    async function signsIn(on: TestService, mailbox: string, second: string): Promise<boolean> {
      const browser = openBrowser(on);
      t.is(heading(await typeMailedCode(on, mailbox, { browser })), 'Enter the code from your app');
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
      t.is(heading(await goesOn.get('/sign-in/code')), 'Enter the code from your app');
      await goesOn.post('/sign-in/code', { code: appCode(on, app.secret) });
      t.true(await isIn(goesOn));
      t.true(await signsIn(on, used, app.recoveryCodes[0]!));
      clock.advance(60);
      await on.stop();

      on = await start(young);
      t.true(await signsIn(on, used, appCode(on, app.secret)));
      t.true(await signsIn(on, used, app.recoveryCodes[1]!));
      // Without a use in between the app is lost with the secret; recovery codes are not.
      t.false(await signsIn(on, unused, appCode(on, forgotten.secret)));
      t.true(await signsIn(on, unused, forgotten.recoveryCodes[0]!));
    } finally {
      await on.stop();
      await database.drop();
    }
  });
});
