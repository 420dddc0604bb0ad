import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Browser, openBrowser, type Page } from '../helpers/browser.ts';
import { countOf } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { atOnce, newMailbox } from '../helpers/common.ts';
import { appCode, isIn, SESSION, setUpApp, signIn, typeMailedCode } from '../helpers/human.ts';
import { secondFactorSteps } from '../helpers/second-factor.ts';
import { onEveryEngine, startTestService, type TestService, wrongCode } from '../helpers/service.ts';

const SIGN_IN = 'vouchsafe_signin';

onEveryEngine('signing in with the authenticator app', (engine) => {
  let on: TestService;
  before(async () => {
    on = await startTestService(engine);
  });
  after(() => on.stop());

  const { withApp, toSecondFactor, typeSecond, signsIn, OF_MAILBOX, eventsOf } = secondFactorSteps(() => ({
    on,
  }));

  const sessionsOf = (mailbox: string) => countOf(on, `sessions WHERE ${OF_MAILBOX}`, [mailbox]);

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
});
