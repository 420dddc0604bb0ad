import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { APPROVED, heading, WAITING } from '../helpers/claim-page.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { appCode, isIn, SESSION, setUpApp, signIn, typeMailedCode } from '../helpers/human.ts';
import { secondFactorSteps } from '../helpers/second-factor.ts';
import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

const SIGN_IN = 'vouchsafe_signin';

onEveryEngine('signing in with the authenticator app', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  const { withApp, toSecondFactor, typeSecond, signsIn, OF_MAILBOX, eventsOf } = secondFactorSteps(() => ({
    on,
  }));

  const sessionsOf = (mailbox: string) => countOf(on, `sessions WHERE ${OF_MAILBOX}`, [mailbox]);

  test.describe('signing in with it', (test) => {
    test('the mailed code alone does not sign in any more: the next page asks for the app', async (t) => {
      const { mailbox, secret } = await withApp();
      const before = await sessionsOf(mailbox);
      const browser = openBrowser(on);
      const page = await typeMailedCode(on, mailbox, { browser, next: '/keys' });
      t.is(heading(page), 'Enter the code from your app');
      t.is(page.path, '/sign-in/code?next=/keys');
      t.false(browser.cookies.has(SESSION));
      t.false(await isIn(browser));
      t.is(await sessionsOf(mailbox), before);

      await browser.get('/sign-in/code?next=/keys');
      const done = await typeSecond(browser, appCode(on, secret));
      t.deepEqual([done.status, done.path], [200, '/keys']);
      t.false(browser.cookies.has(SIGN_IN));
      t.is(await sessionsOf(mailbox), before + 1);
    });

    test('a code of the app signs in once, also when twenty bring it at once, in one browser or in many', async (t) => {
      const { mailbox, secret } = await withApp();
      const before = await sessionsOf(mailbox);
      const one = await toSecondFactor(mailbox);
      const form = { ...one.form('/sign-in/code'), code: appCode(on, secret) };
      await atOnce(20, () => one.send('/sign-in/code', form));
      t.is(await sessionsOf(mailbox), before + 1);
      t.false(await signsIn(mailbox, appCode(on, secret)));

      const many: Browser[] = [];
      for (let count = 0; count < 20; count += 1) many.push(await toSecondFactor(mailbox));
      on.clock.advance(60);
      const code = appCode(on, secret);
      const pages = await atOnce(20, (index) => typeSecond(many[index]!, code));
      t.is(await sessionsOf(mailbox), before + 2);
      t.is(pages.filter(({ status, path }) => status === 200 && path === '/account').length, 1);
      for (const page of pages) t.true(page.status < 500, page.text);
    });

    test('the code that set it up is used by that', async (t) => {
      const mailbox = newMailbox();
      const { secret } = await setUpApp(on, await signIn(on, mailbox));
      for (const steps of [0, -1]) t.false(await signsIn(mailbox, appCode(on, secret, steps)));
      on.clock.advance(30);
      t.false(await signsIn(mailbox, appCode(on, secret, -1)));
      t.true(await signsIn(mailbox, appCode(on, secret)));
    });

    test('a clock may be off by one step, either way; a step before the last used one never comes back', async (t) => {
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
        t.is(await signsIn(mailbox, appCode(on, secret, steps)), works, `step ${steps}`);
      }
      on.clock.advance(60);
      t.false(await signsIn(mailbox, appCode(on, secret, -1)), 'it was used as the coming one');
      t.true(await signsIn(mailbox, appCode(on, secret)));
    });

    test('a recovery code signs in once, in any case and without its dashes, also when twenty bring it at once', async (t) => {
      const { mailbox, recoveryCodes } = await withApp();
      const [first, second, third, fourth] = recoveryCodes as [string, string, string, string];
      for (const typed of [
        first.toUpperCase(),
        second.replaceAll('-', ''),
        ` ${third.replaceAll('-', ' ')} `,
      ]) {
        t.true(await signsIn(mailbox, typed), typed);
        t.false(await signsIn(mailbox, typed), typed);
      }
      t.false(await signsIn(mailbox, first));

      const before = await sessionsOf(mailbox);
      const many: Browser[] = [];
      for (let count = 0; count < 20; count += 1) many.push(await toSecondFactor(mailbox));
      await atOnce(20, (index) => typeSecond(many[index]!, fourth));
      t.is(await sessionsOf(mailbox), before + 1);
      t.is(await eventsOf(mailbox, 'recovery_code.used'), 4);
      t.is(await countOf(on, `recovery_codes WHERE used_at IS NOT NULL AND ${OF_MAILBOX}`, [mailbox]), 4);
    });

    test('a recovery code is of its own account alone', async (t) => {
      const [mine, theirs] = [await withApp(), await withApp()];
      t.false(await signsIn(mine.mailbox, theirs.recoveryCodes[0]!));
      t.false(await signsIn(mine.mailbox, appCode(on, theirs.secret)));
      t.true(await signsIn(theirs.mailbox, theirs.recoveryCodes[0]!));
    });

    test('the account says when recovery codes run low', async (t) => {
      const { mailbox, browser, recoveryCodes } = await withApp();
      t.notRegex((await browser.get('/account')).text, /Only \d+ recovery codes? left/);
      for (const code of recoveryCodes.slice(0, 9)) t.true(await signsIn(mailbox, code));
      t.regex((await browser.get('/account')).text, /class="notice warn"[\s\S]*Only 1 recovery code left/);
    });

    test('the mailed code is of no use any more at the second step', async (t) => {
      const { mailbox, secret } = await withApp();
      const browser = await toSecondFactor(mailbox);
      const mailed = on.signInMails.findLast(({ to }) => to === mailbox)!.code;
      const page = await typeSecond(browser, mailed);
      t.is(page.status, 400);
      t.regex(page.text, /That code isn’t right\.[^<]* 4 tries are left\./);
      t.false(await isIn(browser));

      // Nor does it lead to the second step again, from the same cookie as before it was typed.
      const id = browser.cookies.get(SIGN_IN)!.split('.')[0]!;
      const thief = openBrowser(on);
      await thief.get('/sign-in');
      thief.cookies.set(SIGN_IN, id);
      const answer = await thief.send('/sign-in/code', { csrf: thief.form('/sign-in').csrf, code: mailed });
      t.is(heading(answer), 'Sign in');
      t.false(await isIn(thief));

      await browser.get('/sign-in/code');
      await typeSecond(browser, appCode(on, secret));
      t.true(await isIn(browser));
    });

    test('whoever knows the id of a sign-in, and not its MAC, tries no second factor', async (t) => {
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
        t.is(heading(await thief.get('/sign-in/code')), 'Sign in', cookie);
        for (const code of [appCode(on, secret), recoveryCodes[0]!, '000000']) {
          const page = await thief.send('/sign-in/code', { csrf, code });
          t.deepEqual([page.status, heading(page)], [400, 'Sign in'], cookie);
          t.false(page.text.includes(mailbox), 'nor learns whose it is');
        }
        t.false(await isIn(thief), cookie);
      }
      t.is(await countOf(on, 'sign_ins WHERE id = ? AND tries = 0 AND ended_at IS NULL', [id]), 1);
      await typeSecond(browser, appCode(on, secret));
      t.true(await isIn(browser));
    });

    test('five wrong second factors end it, also when two hundred come at once, and then the right one is refused', async (t) => {
      const { mailbox, secret, recoveryCodes } = await withApp();
      const browser = await toSecondFactor(mailbox);
      const form = browser.form('/sign-in/code');
      const pages = await atOnce(200, (index) =>
        browser.send('/sign-in/code', {
          ...form,
          code: index % 2 === 0 ? wrongCode(appCode(on, secret)) : `aaaa-${recoveryCodes[0]!.slice(5)}`,
        }),
      );
      for (const { status } of pages) t.true(status === 400 || status === 503, String(status));
      t.is(await eventsOf(mailbox, 'session.guess_failed'), 5);
      for (const code of [appCode(on, secret), recoveryCodes[0]!]) {
        await browser.send('/sign-in/code', { ...form, code });
        t.false(await isIn(browser));
      }
      t.true(await signsIn(mailbox, appCode(on, secret)), 'what was refused is not used up');
    });

    test('wrong ones are said with the tries that are left, and count on the day’s budget of the mailbox', async (t) => {
      const tight = await startTestService(engine, { limits: { secondFactorWrongPerMailboxDay: 7 } });
      t.teardown(() => tight.stop());
      const { mailbox, secret } = await withApp(newMailbox(), tight);
      const first = await toSecondFactor(mailbox, openBrowser(tight), tight);
      const wrong = wrongCode(appCode(tight, secret));
      const said = async (page: Promise<Page>) => {
        const { status, text } = await page;
        return `${status} ${/(\d tries are|1 try is) left/.exec(text)?.[0] ?? heading({ text } as Page)}`;
      };
      const firsts = [];
      for (let tries = 0; tries < 5; tries += 1) firsts.push(await said(typeSecond(first, wrong)));
      t.deepEqual(firsts, [
        '400 4 tries are left',
        '400 3 tries are left',
        '400 2 tries are left',
        '400 1 try is left',
        '400 Sign in',
      ]);

      const second = await toSecondFactor(mailbox, openBrowser(tight), tight);
      const form = second.form('/sign-in/code');
      t.is(await said(typeSecond(second, wrong)), '400 4 tries are left');
      t.is(await said(second.send('/sign-in/code', { ...form, code: wrong })), '400 3 tries are left');
      const right = { ...form, code: appCode(tight, secret) };
      t.is(await said(second.send('/sign-in/code', right)), '429 Too many tries');
      t.false(await isIn(second));
      tight.clock.advance(86_400);
      t.true(await signsIn(mailbox, appCode(tight, secret), tight));
    });

    test('it waits ten minutes for the app, whenever in its time the mailed code was typed', async (t) => {
      const { mailbox, secret } = await withApp();
      const browser = openBrowser(on);
      await browser.get('/sign-in');
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await browser.post('/sign-in', { email: mailbox });
      const code = await on.signInCodeFor(mailbox, earlier + 1);
      on.clock.advance(590);
      t.is(heading(await browser.post('/sign-in/code', { code })), 'Enter the code from your app');
      on.clock.advance(590);
      t.is(heading(await browser.get('/sign-in/code')), 'Enter the code from your app');
      const form = browser.form('/sign-in/code');
      on.clock.advance(10);
      const late = await browser.send('/sign-in/code', { ...form, code: appCode(on, secret) });
      t.regex(late.text, /has expired/);
      t.false(await isIn(browser));
    });
  });

  test.describe('agents', (test) => {
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
      test(`merging ${whose} needs the owner signed in, whether the agent brings the code or the page does`, async (t) => {
        const { mailbox, secret } = await withApp();
        const asked = await ask(mailbox, { asserted });
        const before = await countOf(on, 'agents');
        for (let times = 0; times < 2; times += 1) {
          const refused = await collect(asked.claim_token, asked.code);
          t.deepEqual([refused.status, refused.body.error.code], [401, 'interaction_required']);
          t.is(refused.body.error.verification_uri, asked.url);
          t.notRegex(refused.text, /sk_/);
        }

        const human = openBrowser(on);
        t.is(heading(await human.get(asked.url)), WAITING);
        const page = await human.post('/claim', { code: asked.code });
        t.is(page.status, 401);
        t.regex(page.text, /href="\/sign-in\?next=\/claim"/);
        t.is((await collect(asked.claim_token)).body.error.code, 'authorization_pending');
        t.is(await countOf(on, 'agents'), before);

        // The mailed code alone does not sign in either.
        const second = await typeMailedCode(on, mailbox, { browser: human, next: '/claim' });
        t.is(heading(second), 'Enter the code from your app');
        await human.get(asked.url);
        t.is((await human.post('/claim', { code: asked.code })).status, 401);

        await human.get('/sign-in/code?next=/claim');
        const review = await typeSecond(human, appCode(on, secret));
        t.deepEqual([review.path, heading(review)], ['/claim', WAITING]);
        t.regex(review.text, /<label for="code">Code from the email/);
        const approved = await human.post('/claim', { code: asked.code });
        t.is(heading(approved), APPROVED);
        const collected = await collect(asked.claim_token);
        t.is(collected.status, 200, collected.text);
        t.is(collected.body.data.mode, 'merge');
        const me = await on.get('/api/me', collected.body.data.credential);
        t.deepEqual(me.body.data.scopes, ['read', 'write']);
      });
    }

    test('linking needs the code alone, by either way', async (t) => {
      const { mailbox } = await withApp();
      const byAgent = await ask(mailbox, { link: true });
      t.is((await collect(byAgent.claim_token, byAgent.code)).body.data.mode, 'link');

      const byPage = await ask(mailbox, { link: true });
      const human = openBrowser(on);
      await human.get(byPage.url);
      t.is(heading(await human.post('/claim', { code: byPage.code })), APPROVED);
      t.is((await collect(byPage.claim_token)).body.data.mode, 'link');
    });

    test('an approval from before the app was set up does not merge after it', async (t) => {
      const mailbox = newMailbox();
      const owner = await signIn(on, mailbox);
      const asked = await ask(mailbox);
      const human = openBrowser(on);
      await human.get(asked.url);
      await human.post('/claim', { code: asked.code });
      await setUpApp(on, owner);
      const refused = await collect(asked.claim_token);
      t.deepEqual([refused.status, refused.body.error.code], [401, 'interaction_required']);
      t.is(await countOf(on, `agents WHERE owned_at IS NOT NULL AND ${OF_MAILBOX}`, [mailbox]), 0);
    });

    test('before a right code nothing tells a mailbox with an app from one without, or from one that is unknown', async (t) => {
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
      t.deepEqual(seen[0], seen[1]);
      t.deepEqual(seen[0], seen[2]);
    });
  });
});
