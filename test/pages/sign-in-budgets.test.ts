import type { ExecutionContext } from 'ava';
import { type Browser, openBrowser } from '../helpers/browser.ts';
import { from, said } from '../helpers/ceremony.ts';
import { heading } from '../helpers/claim-page.ts';
import { appCode, isIn, SESSION, setUpApp, signIn } from '../helpers/human.ts';
import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** What strangers spend does not keep the owner of a mailbox from signing in. */

const LIMITS = {
  registerPerIp: '100000/h',
  claimMailPerIp: '100000/h',
  wrongPerIpHour: 100_000,
  codesPerMailboxHour: 5,
  codesPerMailboxDay: 10,
  wrongPerMailboxDay: 10,
  wrongPerServiceDay: 10_000,
  signInMailPerIp: '20/h',
  signInMailPerMailbox: '30/h',
  signInMailPerMailboxIp: '5/h',
  signInWrongPerMailboxDay: 10,
  signInWrongPerIpHour: 20,
  secondFactorWrongPerMailboxDay: 10,
};
const HOME = from('198.51.100.1');
const ELSEWHERE = from('203.0.113.9');

onEveryEngine('signing in while strangers spend what they can', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine, { limits: LIMITS, env: { TRUST_PROXY: '1' } });
  });
  test.after(() => on.stop());

  let made = 0;
  const newMailbox = () => `owner${++made}@example.com`;
  const newAddress = () => `203.0.114.${++made}`;

  /** Five claims on a mailbox, and wrong guesses until no more are taken. */
  async function burnByClaims(t: ExecutionContext, mailbox: string): Promise<void> {
    for (let count = 0; count < 5; count += 1) {
      const { claim_token } = (await on.post('/agent/auth', { type: 'anonymous' }, ELSEWHERE)).body.data;
      const claim = await on.post('/agent/auth/claim', { claim_token, email: mailbox }, ELSEWHERE);
      t.is(claim.status, 200, claim.text);
      const { proof } = await on.mailTo(mailbox, count);
      if (proof.kind !== 'code') continue;
      for (let guess = 0; guess < 5; guess += 1) {
        await on.post('/agent/auth/claim/complete', { claim_token, otp: wrongCode(proof.code) }, ELSEWHERE);
      }
    }
    const { claim_token } = (await on.post('/agent/auth', { type: 'anonymous' }, ELSEWHERE)).body.data;
    const sixth = await on.post('/agent/auth/claim', { claim_token, email: mailbox }, ELSEWHERE);
    t.is(said(sixth), '429 rate_limited');
  }

  const askFor = async (mailbox: string, headers = HOME, browser = openBrowser(on)) => {
    await browser.get('/sign-in');
    const page = await browser.post('/sign-in', { email: mailbox }, headers);
    return { browser, page };
  };

  /** Strangers type wrong digits for a mailbox on the page for signing in, until those are of no use for anybody. */
  async function burnBySignIns(mailbox: string): Promise<void> {
    for (let count = 0; count < 2; count += 1) {
      const address = newAddress();
      const { browser } = await askFor(mailbox, from(address));
      const wrong = wrongCode(
        await on.signInCodeFor(mailbox, on.signInMails.filter(({ to }) => to === mailbox).length || 1),
      );
      for (let guess = 0; guess < 5; guess += 1) {
        await browser.send('/sign-in/code', { ...browser.form('/sign-in/code'), code: wrong }, from(address));
      }
    }
  }

  async function openLink(
    t: ExecutionContext,
    link: string,
    browser: Browser = openBrowser(on),
  ): Promise<Browser> {
    const page = await browser.get(link);
    t.is(heading(page), 'Sign in with this browser?', page.text);
    t.false(browser.cookies.has(SESSION), 'looking signs nobody in');
    return browser;
  }

  test('five claims and ten wrong guesses by strangers cost the owner nothing', async (t) => {
    const mailbox = newMailbox();
    await burnByClaims(t, mailbox);
    const browser = await signIn(on, mailbox, { headers: HOME });
    t.true(await isIn(browser));
  });

  test('what the owner asks for costs their agents nothing either', async (t) => {
    const mailbox = newMailbox();
    for (let count = 0; count < 5; count += 1) await askFor(mailbox);
    t.is((await askFor(mailbox)).page.status, 429);
    const { claim_token } = await on.register();
    t.is((await on.post('/agent/auth/claim', { claim_token, email: mailbox })).status, 200);
  });

  test('a stranger at the page for signing in shuts out their own address alone', async (t) => {
    const mailbox = newMailbox();
    for (let count = 0; count < 5; count += 1) t.is((await askFor(mailbox, ELSEWHERE)).page.status, 200);
    t.is((await askFor(mailbox, ELSEWHERE)).page.status, 429);
    const { page } = await askFor(mailbox, HOME);
    t.is(heading(page), 'Check your email');
  });

  test('over all addresses a mailbox is not flooded', async (t) => {
    const mailbox = newMailbox();
    let sent = 0;
    for (let count = 0; count < 40; count += 1) {
      if ((await askFor(mailbox, from(`192.0.2.${count}`))).page.status === 200) sent += 1;
    }
    t.is(sent, 30);
  });

  test.describe('where digits were guessed at too often', (test) => {
    test('a link is mailed, which signs in once, in whatever browser it is opened', async (t) => {
      const mailbox = newMailbox();
      await burnBySignIns(mailbox);
      const { page } = await askFor(mailbox);
      t.regex(page.text, /We sent a link to/);
      const link = await on.signInLinkFor(mailbox);
      t.regex(new URL(link).searchParams.get('t')!, /^sgn_\w+\.[\w-]{22,}$/, '128 bits or more');
      const [first, second] = [await openLink(t, link), await openLink(t, link)];
      const outcomes = await Promise.all([first, second].map((each) => each.post('/sign-in/link', {}, HOME)));
      t.deepEqual(outcomes.map(({ status }) => status).sort(), [200, 410]);
      const signedIn = await Promise.all([isIn(first), isIn(second)]);
      t.deepEqual(signedIn.sort(), [false, true]);
      const late = await openBrowser(on).get(link);
      t.deepEqual([late.status, heading(late)], [410, 'This link has expired']);
      t.regex(late.text, /work for 10 minutes and only once\. Nothing has happened\./);
    });

    test('digits are not taken for it, nor a link that somebody made up', async (t) => {
      const mailbox = newMailbox();
      await burnBySignIns(mailbox);
      const { browser } = await askFor(mailbox);
      const link = await on.signInLinkFor(mailbox);
      for (const code of ['000000', '123456']) {
        const page = await browser.get('/sign-in/code');
        const { status } = await browser.send('/sign-in/code', { csrf: csrfOn(page.text), code }, HOME);
        t.true(status >= 400 && status < 500);
      }
      for (const forged of [`${link}x`, link.replace(/\.[\w-]+$/, `.${'A'.repeat(22)}`), link.slice(0, -2)]) {
        t.is((await openBrowser(on).get(forged)).status, 410, forged);
      }
      t.true(await isIn(await posted(await openLink(t, link))));
    });

    test('who holds digits from before is told to ask for a link', async (t) => {
      const mailbox = newMailbox();
      const { browser } = await askFor(mailbox);
      const right = await on.signInCodeFor(mailbox);
      await burnBySignIns(mailbox);
      const page = await browser.post('/sign-in/code', { code: right }, HOME);
      t.is(page.status, 429);
      t.regex(page.text, /Ask again, and we email you a link instead/);
    });

    test('a link goes on to the second factor, whose tries nobody else can spend', async (t) => {
      const mailbox = newMailbox();
      const owner = await signIn(on, mailbox, { headers: HOME });
      const { secret } = await setUpApp(on, owner);
      await burnByClaims(t, mailbox);
      await burnBySignIns(mailbox);
      await askFor(mailbox);
      const browser = await openLink(t, await on.signInLinkFor(mailbox));
      await browser.post('/sign-in/link', {}, HOME);
      t.false(await isIn(browser), 'the mailbox alone is not enough');
      await browser.get('/sign-in/code');
      await browser.post('/sign-in/code', { code: appCode(on, secret, 1) }, HOME);
      t.true(await isIn(browser));
    });

    test('a link dies with the life of a code', async (t) => {
      const mailbox = newMailbox();
      await burnBySignIns(mailbox);
      await askFor(mailbox);
      const link = await on.signInLinkFor(mailbox);
      const browser = await openLink(t, link);
      on.clock.advance(601);
      t.is((await browser.post('/sign-in/link', {}, HOME)).status, 410);
    });
  });

  test('who is signed in proves it anew whatever strangers ask for', async (t) => {
    const mailbox = newMailbox();
    const browser = await signIn(on, mailbox, { headers: HOME });
    for (let count = 0; count < 35; count += 1) await askFor(mailbox, from(`192.0.2.${100 + count}`));
    on.clock.advance(901);
    await browser.get('/keys/new');
    const page = await browser.post('/sign-in/again', {}, HOME);
    t.is(heading(page), 'Check your email', page.text);
  });

  async function posted(browser: Browser): Promise<Browser> {
    await browser.post('/sign-in/link', {}, HOME);
    return browser;
  }

  function csrfOn(html: string): string {
    return /name="csrf" value="([^"]*)"/.exec(html)?.[1] ?? '';
  }
});
