import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../helpers/browser.ts';
import { at, inBrowser, LIGHT, see, startChromium, visitTo } from '../helpers/chromium.ts';
import { appCode, setUpApp, signIn } from '../helpers/human.ts';
import { type Engine, startTestService, type TestService, wrongCode } from '../helpers/service.ts';

/** The owner of a mailbox at which strangers have spent all they could gets in, and ends the agent that did it. */

inBrowser(
  'a mailbox that strangers have burned, in a browser',
  (engine: Engine, test, executablePath: string) => {
    let browser: Browser;
    test.before(async () => {
      browser = await startChromium(executablePath);
    });
    test.after(() => browser.close());
    const look = LIGHT;

    /** An agent of the owner's asks for claims on the mailbox and guesses at them and at signing in, until nothing is taken. */
    async function burn(t: ExecutionContext, on: TestService, mailbox: string): Promise<void> {
      for (let count = 0; count < 5; count += 1) {
        const earlier = on.mails.filter(({ to }) => to === mailbox).length;
        const { claim_token } = await on.register();
        t.is((await on.post('/agent/auth/claim', { claim_token, email: mailbox })).status, 200);
        const { proof } = await on.mailTo(mailbox, earlier);
        const otp = proof.kind === 'code' ? wrongCode(proof.code) : '000000';
        for (let guess = 0; guess < 5; guess += 1)
          await on.post('/agent/auth/claim/complete', { claim_token, otp });
      }
      for (let count = 0; count < 2; count += 1) {
        const stranger = openBrowser(on);
        const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
        await stranger.get('/sign-in');
        await stranger.post('/sign-in', { email: mailbox });
        const code = wrongCode(await on.signInCodeFor(mailbox, earlier + 1));
        const form = stranger.form('/sign-in/code');
        for (let guess = 0; guess < 5; guess += 1) await stranger.send('/sign-in/code', { ...form, code });
      }
    }

    async function signInByLink(
      t: ExecutionContext,
      on: TestService,
      mailbox: string,
      page: Page,
    ): Promise<void> {
      await page.getByLabel('Email address').fill(mailbox);
      await page.getByRole('button', { name: 'Email me a code' }).click();
      await see(t, page, look!, 'Check your email', 'sign-in link, sent');
      await page.goto(await on.signInLinkFor(mailbox));
      await see(t, page, look!, 'Sign in with this browser?', 'sign-in link');
      await page.getByRole('button', { name: 'Sign in' }).click();
    }

    async function revokeFirstAgent(page: Page): Promise<void> {
      await page.getByRole('link', { name: 'Agents', exact: true }).click();
      await page.getByRole('row').nth(1).getByRole('link').first().click();
      await page.getByRole('link', { name: /^Revoke/ }).click();
      await page.getByRole('button', { name: /^Revoke/ }).click();
      await page.getByText('Agent revoked.').waitFor();
    }

    for (const [title, env] of [
      ['as it comes', {}],
      ['where merging is confirmed', { CLAIM_EXISTING_ACCOUNT: 'confirm' }],
    ] as const) {
      test(`${title}: they sign in by the mailed link, and revoke the agent that did it`, async (t) => {
        const limits = { codesPerMailboxHour: 5, wrongPerMailboxDay: 10, signInWrongPerMailboxDay: 10 };
        const on = await startTestService(engine, { env, limits });
        try {
          const mailbox = 'owner@example.com';
          const agent = await on.claimed(mailbox, true);
          on.clock.advance(3600);
          await burn(t, on, mailbox);
          await visitTo(browser, on.url, look!, `${on.url}/sign-in`, async (page) => {
            await signInByLink(t, on, mailbox, page);
            await at(page, 'Account and security');
            await revokeFirstAgent(page);
            await page.goto(await on.signInLinkFor(mailbox));
            await see(t, page, look!, 'This link has expired', 'sign-in link, expired');
            await page.goto(`${on.url}/nothing/here`);
            await see(t, page, look!, 'Page not found', 'not found');
          });
          t.is((await on.get('/api/me', agent.credential)).status, 401);
        } finally {
          await on.stop();
        }
      });
    }

    test('with an authenticator app: the link goes on to its code, and the agent is revoked', async (t) => {
      const limits = { codesPerMailboxHour: 5, wrongPerMailboxDay: 10, signInWrongPerMailboxDay: 10 };
      const on = await startTestService(engine, { limits });
      try {
        const mailbox = 'careful@example.com';
        const agent = await on.claimed(mailbox, true);
        const { secret } = await setUpApp(on, await signIn(on, mailbox));
        on.clock.advance(3600);
        await burn(t, on, mailbox);
        await visitTo(browser, on.url, look!, `${on.url}/sign-in`, async (page) => {
          await signInByLink(t, on, mailbox, page);
          await page.locator('input[name="code"]').fill(appCode(on, secret));
          await page.getByRole('button', { name: 'Sign in' }).click();
          await at(page, 'Account and security');
          await revokeFirstAgent(page);
        });
        t.is((await on.get('/api/me', agent.credential)).status, 401);
      } finally {
        await on.stop();
      }
    });
  },
);
