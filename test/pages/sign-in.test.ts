import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { openBrowser } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { askForCode, isIn, SESSION, signIn } from '../helpers/human.ts';
import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

onEveryEngine('signing in', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('a mailed code signs in, once, and the first one makes the account', async (t) => {
    const mailbox = newMailbox();
    const accounts = () => countOf(on, 'accounts WHERE mailbox = ?', [mailbox]);
    const browser = openBrowser(on);
    const code = await askForCode(on, mailbox, { browser });
    t.is(await accounts(), 0);
    const cookies = new Map(browser.cookies);
    const page = await browser.post('/sign-in/code', { code });
    t.deepEqual([page.status, page.path], [200, '/account']);
    t.regex(page.text, new RegExp(mailbox));
    t.is(await accounts(), 1);

    const thief = openBrowser(on);
    for (const [name, value] of cookies) thief.cookies.set(name, value);
    await thief.get('/sign-in/code');
    t.false(thief.cookies.has(SESSION));
    t.false(await isIn(thief));

    await signIn(on, mailbox);
    t.is(await accounts(), 1);
  });

  test('of five that bring the right code at once one is signed in', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    const code = await askForCode(on, mailbox, { browser });
    const form = browser.form('/sign-in/code');
    await Promise.all(Array.from({ length: 5 }, () => browser.send('/sign-in/code', { ...form, code })));
    t.is(
      await countOf(
        on,
        `events WHERE kind = 'session.begun' AND account_id = (SELECT id FROM accounts WHERE mailbox = ?)`,
        [mailbox],
      ),
      1,
    );
  });

  test('five wrong codes end it, also when two hundred come at once, and then the right one is refused', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    const code = await askForCode(on, mailbox, { browser });
    const form = browser.form('/sign-in/code');
    const pages = await Promise.all(
      Array.from({ length: 200 }, () => browser.send('/sign-in/code', { ...form, code: wrongCode(code) })),
    );
    for (const { status } of pages) t.true(status === 400 || status === 503, String(status));
    t.is(await countOf(on, `events WHERE kind = 'session.guess_failed'`), 5);
    await browser.send('/sign-in/code', { ...form, code });
    t.false(await isIn(browser));
  });

  test('a code lives as long as that of a claim', async (t) => {
    const late = openBrowser(on);
    const code = await askForCode(on, newMailbox(), { browser: late });
    on.clock.advance(600);
    const page = await late.post('/sign-in/code', { code });
    t.is(page.status, 400);
    t.regex(page.text, /has expired/);
    t.false(await isIn(late));
  });

  test('the page that asks for the code says when it expires, and sends a new one to the same address', async (t) => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    await askForCode(on, mailbox, { browser, next: '/keys' });
    t.regex((await browser.get('/sign-in/code?next=/keys')).text, /The code expires in 10 minutes\./);
    on.clock.advance(90);
    t.regex((await browser.get('/sign-in/code?next=/keys')).text, /The code expires in 9 minutes\./);
    const page = await browser.post('/sign-in');
    t.deepEqual([page.path, heading(page)], ['/sign-in/code?next=/keys', 'Check your email']);
    t.regex(page.text, /The code expires in 10 minutes\./);
    const code = await on.signInCodeFor(mailbox, 2);
    t.is((await browser.post('/sign-in/code', { code })).path, '/keys');
  });

  test('who confirms their mailbox gets a new code there alone', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    on.clock.advance(901);
    await browser.get('/keys/new');
    const page = await browser.post('/sign-in/again');
    t.is(heading(page), 'Check your email');
    t.notRegex(page.text, /action="\/sign-in"|Use another address/);
    await browser.post('/sign-in/again');
    const code = await on.signInCodeFor(mailbox, 3);
    t.is((await browser.post('/sign-in/code', { code })).path, '/keys/new');
  });

  test('what is wrong with an address is said below its field, and it stays', async (t) => {
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    const page = await browser.post('/sign-in', { email: 'ada@<' });
    t.is(page.status, 400);
    t.regex(page.text, /<title>Error: Sign in /);
    t.regex(page.text, /role="alert"[\s\S]*There is a problem\./);
    t.regex(page.text, /name="email"[^>]* value="ada@&lt;" aria-invalid="true" aria-describedby="problem">/);
    t.regex(page.text, /id="problem"[\s\S]*Enter a full email address, like name@example\.com\./);
  });

  test('a code works in the browser that asked for it alone, and for its mailbox alone', async (t) => {
    const [ours, theirs] = [openBrowser(on), openBrowser(on)];
    const code = await askForCode(on, newMailbox(), { browser: ours });
    await askForCode(on, newMailbox(), { browser: theirs });
    const page = await theirs.post('/sign-in/code', { code });
    t.is(page.status, 400);
    t.false(await isIn(theirs));
  });

  test('the answers do not tell whether a mailbox has an account (S-44)', async (t) => {
    const [known, unknown] = [newMailbox(), newMailbox()];
    await signIn(on, known);
    const seen = [];
    for (const mailbox of [known, unknown]) {
      const browser = openBrowser(on);
      await askForCode(on, mailbox, { browser });
      const page = await browser.get('/sign-in/code');
      seen.push([
        page.status,
        page.path,
        page.text.replaceAll(mailbox, 'M').replaceAll(/value="[^"]*"/g, ''),
      ]);
    }
    t.deepEqual(seen[0], seen[1]);
  });

  test('signing in gives new cookies: one that was set before is of no use after (S-75)', async (t) => {
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    const before = browser.cookies.get('vouchsafe_browser');
    const form = browser.form('/sign-in');
    await signIn(on, newMailbox(), { browser });
    t.not(browser.cookies.get('vouchsafe_browser'), before);
    const page = await browser.send('/sign-out', { csrf: form.csrf });
    t.is(page.status, 403);
    t.true(await isIn(browser));
  });

  test('a session ends at sign-out, after half an hour without use, and after twelve hours', async (t) => {
    const out = await signIn(on, newMailbox());
    const kept = new Map(out.cookies);
    await out.get('/account');
    t.is(heading(await out.post('/sign-out')), 'You’re signed out');
    for (const [name, value] of kept) out.cookies.set(name, value);
    t.false(await isIn(out));

    const idle = await signIn(on, newMailbox());
    on.clock.advance(1790);
    t.true(await isIn(idle));
    on.clock.advance(1800);
    t.false(await isIn(idle));

    const old = await signIn(on, newMailbox());
    for (let hours = 0.25; hours < 12; hours += 0.25) {
      on.clock.advance(900);
      t.true(await isIn(old), `${hours} h`);
    }
    on.clock.advance(900);
    t.false(await isIn(old));
  });

  test('sessions are listed and can be ended by their owner, and by nobody else', async (t) => {
    const mailbox = newMailbox();
    const [here, there, stranger] = [
      await signIn(on, mailbox),
      await signIn(on, mailbox),
      await signIn(on, newMailbox()),
    ];
    const page = await here.get('/account');
    const id = /name="session" value="(ses_[^"]*)"/.exec(page.text)![1]!;
    t.is(page.text.match(/<td [^>]*data-label="Last used"/g)?.length, 2);
    await stranger.get('/account');
    const { csrf } = stranger.form('/sign-out');
    await stranger.send('/account/sessions/end', { csrf, session: id });
    t.true(await isIn(there));
    await here.get('/account');
    await here.post('/account/sessions/end', { session: id });
    t.false(await isIn(there));
    t.true(await isIn(here));
  });

  test('afterwards one is led to pages of ours alone (S-77)', async (t) => {
    const goals = [
      '//evil.example',
      '/\\evil.example',
      'https://evil.example',
      '/%2f%2fevil.example',
      '/account/../..',
      'javascript:alert(1)',
      '/api/me',
      '/sign-out',
      ' /claim',
    ];
    for (const goal of goals) {
      const browser = openBrowser(on);
      await browser.get(`/sign-in?next=${encodeURIComponent(goal)}`);
      const mailbox = newMailbox();
      await browser.post('/sign-in', { email: mailbox, next: goal });
      const page = await browser.post('/sign-in/code', { code: await on.signInCodeFor(mailbox), next: goal });
      t.deepEqual(page.redirects, [`${on.url}/account`], goal);
    }
  });

  test('who is not signed in is led there and back, and posts nothing', async (t) => {
    const browser = openBrowser(on);
    const page = await browser.get('/account');
    t.is(page.path, '/sign-in?next=/account');
    const { csrf } = browser.form('/sign-in');
    const posted = await browser.send('/account/mail', { csrf, wanted: 'no' });
    t.is(heading(posted), 'Sign in');
    t.is(await countOf(on, 'mail_refusals'), 0);
  });

  test('the log holds no code, no session and no mailbox', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const log = on.logged.join('\n');
    for (const secret of [mailbox, browser.cookies.get(SESSION)!]) t.false(log.includes(secret));
    // By chance its digits stand within the longer ones of a time.
    const { code } = on.signInMails.at(-1)!;
    t.notRegex(log, new RegExp(`(?<![0-9])${code}(?![0-9])`));
  });

  test('a mailbox that wanted no more mail of agents can take that back', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox);
    const ask = async () => {
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    };
    await browser.get('/account');
    await browser.post('/account/mail', { wanted: 'no' });
    await ask();
    await browser.post('/account/mail', { wanted: 'yes' });
    await ask();
    await on.codeFor(mailbox);
    t.is(on.mails.filter(({ to }) => to === mailbox).length, 1);
  });
});

onEveryEngine('what signing in leaves behind', (engine, test) => {
  test('sign-ins go after a day, sessions after a month, and the others stay', async (t) => {
    const on = await startTestService(engine);
    t.teardown(() => on.stop());
    const { deps } = on.service;
    const left = async () => [await countOf(on, 'sign_ins'), await countOf(on, 'sessions')];
    const signInOnce = async (mailbox: string) => {
      const browser = openBrowser(on);
      await browser.get('/sign-in');
      await browser.post('/sign-in', { email: mailbox });
      await browser.post('/sign-in/code', { code: await on.signInCodeFor(mailbox) });
    };
    await signInOnce('old@example.com');
    on.clock.advance(86_401);
    await signInOnce('new@example.com');
    await deleteExpiredRows(deps);
    t.deepEqual(await left(), [1, 2]);
    on.clock.advance(29.5 * 86_400);
    await deleteExpiredRows(deps);
    t.deepEqual(await left(), [0, 1]);
  });
});
