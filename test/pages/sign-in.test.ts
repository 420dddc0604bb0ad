import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sweep } from '../../src/domain/jobs/retention.ts';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine, startTestService, type TestService, wrongCode } from '../helpers/service.ts';

const heading = ({ text }: Page) => /<h1>([^<]*)<\/h1>/.exec(text)?.[1];
const SESSION = 'vouchsafe_session';

onEveryEngine('signing in', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  /** Asks for a code, and reads it in the mailbox. */
  async function askForCode(browser: Browser, mailbox: string, next = '/account') {
    const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
    await browser.get(`/sign-in?next=${next}`);
    const asked = await browser.post('/sign-in', { email: mailbox });
    assert.equal(heading(asked), 'Look into your mail', asked.text);
    return on.signInCodeFor(mailbox, earlier + 1);
  }

  async function signIn(mailbox: string, browser = openBrowser(on), next = '/account'): Promise<Browser> {
    const code = await askForCode(browser, mailbox, next);
    const page = await browser.post('/sign-in/code', { code });
    assert.equal(page.status, 200, page.text);
    return browser;
  }

  const isIn = async (browser: Browser) => heading(await browser.get('/account')) === 'Your account';

  test('a mailed code signs in, once, and the first one makes the account', async () => {
    const mailbox = newMailbox();
    const accounts = () => countOf(on, 'accounts WHERE mailbox = ?', [mailbox]);
    const browser = openBrowser(on);
    const code = await askForCode(browser, mailbox);
    assert.equal(await accounts(), 0);
    const cookies = new Map(browser.cookies);
    const page = await browser.post('/sign-in/code', { code });
    assert.equal(heading(page), 'Your account');
    assert.match(page.text, new RegExp(mailbox));
    assert.equal(await accounts(), 1);

    const thief = openBrowser(on);
    for (const [name, value] of cookies) thief.cookies.set(name, value);
    await thief.get('/sign-in/code');
    assert.equal(thief.cookies.has(SESSION), false);
    assert.equal(await isIn(thief), false);

    await signIn(mailbox);
    assert.equal(await accounts(), 1);
  });

  test('of five that bring the right code at once one is signed in', async () => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    const code = await askForCode(browser, mailbox);
    const form = browser.form('/sign-in/code');
    await Promise.all(Array.from({ length: 5 }, () => browser.send('/sign-in/code', { ...form, code })));
    assert.equal(
      await countOf(
        on,
        `events WHERE kind = 'session.begun' AND account_id = (SELECT id FROM accounts WHERE mailbox = ?)`,
        [mailbox],
      ),
      1,
    );
  });

  test('five wrong codes end it, also when two hundred come at once, and then the right one is refused', async () => {
    const mailbox = newMailbox();
    const browser = openBrowser(on);
    const code = await askForCode(browser, mailbox);
    const form = browser.form('/sign-in/code');
    const pages = await Promise.all(
      Array.from({ length: 200 }, () => browser.send('/sign-in/code', { ...form, code: wrongCode(code) })),
    );
    for (const { status } of pages) assert.ok(status === 400 || status === 503, String(status));
    assert.equal(await countOf(on, `events WHERE kind = 'session.guess_failed'`), 5);
    await browser.send('/sign-in/code', { ...form, code });
    assert.equal(await isIn(browser), false);
  });

  test('a code lives as long as that of a claim', async () => {
    const late = openBrowser(on);
    const code = await askForCode(late, newMailbox());
    on.clock.advance(600);
    const page = await late.post('/sign-in/code', { code });
    assert.equal(page.status, 400);
    assert.match(page.text, /has expired/);
    assert.equal(await isIn(late), false);
  });

  test('a code works in the browser that asked for it alone, and for its mailbox alone', async () => {
    const [ours, theirs] = [openBrowser(on), openBrowser(on)];
    const code = await askForCode(ours, newMailbox());
    await askForCode(theirs, newMailbox());
    const page = await theirs.post('/sign-in/code', { code });
    assert.equal(page.status, 400);
    assert.equal(await isIn(theirs), false);
  });

  test('the answers do not tell whether a mailbox has an account (S-44)', async () => {
    const [known, unknown] = [newMailbox(), newMailbox()];
    await signIn(known);
    const seen = [];
    for (const mailbox of [known, unknown]) {
      const browser = openBrowser(on);
      await askForCode(browser, mailbox);
      const page = await browser.get('/sign-in/code');
      seen.push([
        page.status,
        page.path,
        page.text.replaceAll(mailbox, 'M').replaceAll(/value="[^"]*"/g, ''),
      ]);
    }
    assert.deepEqual(seen[0], seen[1]);
  });

  test('signing in gives new cookies: one that was set before is of no use after (S-75)', async () => {
    const browser = openBrowser(on);
    await browser.get('/sign-in');
    const before = browser.cookies.get('vouchsafe_browser');
    const form = browser.form('/sign-in');
    await signIn(newMailbox(), browser);
    assert.notEqual(browser.cookies.get('vouchsafe_browser'), before);
    const page = await browser.send('/sign-out', { csrf: form.csrf });
    assert.equal(page.status, 403);
    assert.equal(await isIn(browser), true);
  });

  test('a session ends at sign-out, after half an hour without use, and after twelve hours', async () => {
    const out = await signIn(newMailbox());
    const kept = new Map(out.cookies);
    await out.get('/account');
    assert.equal(heading(await out.post('/sign-out')), 'Sign in');
    for (const [name, value] of kept) out.cookies.set(name, value);
    assert.equal(await isIn(out), false);

    const idle = await signIn(newMailbox());
    on.clock.advance(1790);
    assert.equal(await isIn(idle), true);
    on.clock.advance(1800);
    assert.equal(await isIn(idle), false);

    const old = await signIn(newMailbox());
    for (let hours = 0.25; hours < 12; hours += 0.25) {
      on.clock.advance(900);
      assert.equal(await isIn(old), true, `${hours} h`);
    }
    on.clock.advance(900);
    assert.equal(await isIn(old), false);
  });

  test('sessions are listed and can be ended by their owner, and by nobody else', async () => {
    const mailbox = newMailbox();
    const [here, there, stranger] = [
      await signIn(mailbox),
      await signIn(mailbox),
      await signIn(newMailbox()),
    ];
    const page = await here.get('/account');
    const id = /name="session" value="(ses_[^"]*)"/.exec(page.text)![1]!;
    assert.equal(page.text.match(/Last seen/g)?.length, 2);
    await stranger.get('/account');
    const { csrf } = stranger.form('/sign-out');
    await stranger.send('/account/sessions/end', { csrf, session: id });
    assert.equal(await isIn(there), true);
    await here.get('/account');
    await here.post('/account/sessions/end', { session: id });
    assert.equal(await isIn(there), false);
    assert.equal(await isIn(here), true);
  });

  test('afterwards one is led to pages of ours alone (S-77)', async () => {
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
      assert.deepEqual(page.redirects, [`${on.url}/account`], goal);
    }
  });

  test('who is not signed in is led there and back, and posts nothing', async () => {
    const browser = openBrowser(on);
    const page = await browser.get('/account');
    assert.equal(page.path, '/sign-in?next=/account');
    const { csrf } = browser.form('/sign-in');
    const posted = await browser.send('/account/mail', { csrf, wanted: 'no' });
    assert.equal(heading(posted), 'Sign in');
    assert.equal(await countOf(on, 'mail_refusals'), 0);
  });

  test('the log holds no code, no session and no mailbox', async () => {
    const mailbox = newMailbox();
    const browser = await signIn(mailbox);
    const log = on.logged.join('\n');
    for (const secret of [mailbox, browser.cookies.get(SESSION)!]) assert.equal(log.includes(secret), false);
    // By chance its digits stand within the longer ones of a time.
    const { code } = on.signInMails.at(-1)!;
    assert.doesNotMatch(log, new RegExp(`(?<![0-9])${code}(?![0-9])`));
  });

  test('a mailbox that wanted no more mail of agents can take that back', async () => {
    const mailbox = newMailbox();
    const browser = await signIn(mailbox);
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
    assert.equal(on.mails.filter(({ to }) => to === mailbox).length, 1);
  });

  describe('confirming a merge (CLAIM_EXISTING_ACCOUNT=confirm)', () => {
    let strict: TestService;
    before(async () => {
      strict = on;
      on = await startTestService(engine, { env: { CLAIM_EXISTING_ACCOUNT: 'confirm' } });
    });
    after(async () => {
      await on.stop();
      on = strict;
    });

    async function ask(mailbox: string, link = false) {
      const agent = await on.register();
      const { claim_token } = agent;
      const earlier = on.mails.filter(({ to }) => to === mailbox).length;
      const reply = await on.post('/agent/auth/claim', { claim_token, email: mailbox, link });
      const code = await on.codeFor(mailbox, earlier);
      return { ...agent, code, url: reply.body.data.verification_uri as string };
    }
    const collect = (claim_token: string, otp?: string) =>
      on.post('/agent/auth/claim/complete', { claim_token, otp });

    test('merging into an account needs its owner signed in; then the agent gets its key', async () => {
      const mailbox = newMailbox();
      await signIn(mailbox);
      const asked = await ask(mailbox);
      const refused = await collect(asked.claim_token, asked.code);
      assert.equal(refused.status, 401);
      assert.equal(refused.body.error.code, 'interaction_required');
      assert.equal(refused.body.error.verification_uri, asked.url);

      const human = openBrowser(on);
      const page = await human.get(asked.url);
      assert.match(page.text, /href="\/sign-in\?next=\/claim"/);
      const { csrf } = await human.get('/claim/deny').then(() => human.form('/claim/deny'));
      const attempt = (await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM claim_attempts WHERE mailbox = ?',
        [mailbox],
      ))!.id;
      const early = await human.send('/claim', { csrf, attempt, code: asked.code });
      assert.equal(early.status, 401);

      await signIn(mailbox, human, '/claim');
      await human.get('/claim');
      const done = await human.post('/claim', { code: asked.code });
      assert.equal(heading(done), 'You have vouched for this agent');
      const collected = await collect(asked.claim_token);
      assert.equal(collected.status, 200, collected.text);
      assert.equal(collected.body.data.mode, 'merge');
    });

    test('signed in as somebody else one neither sees nor approves it (S-76)', async () => {
      const [mailbox, other] = [newMailbox(), newMailbox()];
      const asked = await ask(mailbox);
      const stranger = openBrowser(on);
      await stranger.get(asked.url);
      await signIn(other, stranger);
      const page = await stranger.get('/claim');
      assert.equal(page.status, 403);
      assert.equal(page.text.includes(mailbox), false);
      const attempt = (await on.service.deps.db.get<{ id: string }>(
        'SELECT id FROM claim_attempts WHERE mailbox = ?',
        [mailbox],
      ))!.id;
      await stranger.get('/account');
      const { csrf } = stranger.form('/sign-out');
      const posted = await stranger.send('/claim', { csrf, attempt, code: asked.code });
      assert.equal(posted.status, 403);
      assert.equal((await collect(asked.claim_token)).body.error.code, 'authorization_pending');
    });

    test('linking needs no more than the code', async () => {
      const mailbox = newMailbox();
      await signIn(mailbox);
      const asked = await ask(mailbox, true);
      assert.equal((await collect(asked.claim_token, asked.code)).status, 200);
    });
  });
});

onEveryEngine('what signing in leaves behind', (engine) => {
  test('sign-ins go after a day, sessions after a month, and the others stay', async (t) => {
    const on = await startTestService(engine);
    t.after(() => on.stop());
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
    await sweep(deps);
    assert.deepEqual(await left(), [1, 2]);
    on.clock.advance(29.5 * 86_400);
    await sweep(deps);
    assert.deepEqual(await left(), [0, 1]);
  });
});
