import type { Browser, Page } from 'playwright-core';
import { inBrowser, inEachLook, startChromium, visitTo } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

/** Somebody who never saw the pages, and goes by their words alone: from the front page, with no other address. */

inBrowser('somebody who never saw the pages', (engine: Engine, test, executablePath: string) => {
  let on: TestService;
  let browser: Browser;
  test.before(async () => {
    [on, browser] = await Promise.all([startTestService(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  inEachLook(engine, test, (test, look) => {
    /** Opens the menu of the account; on a phone the one menu that there is. */
    async function openMenu(page: Page, mailbox: string): Promise<void> {
      const name = look.options.isMobile === true ? 'Menu' : mailbox;
      await page.getByRole('button', { name }).click();
    }

    /** Follows a link of the header; on a phone they are in the menu. */
    async function goTo(page: Page, name: string): Promise<void> {
      if (look.options.isMobile === true) await openMenu(page, '');
      await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('heading', { level: 1, name }).waitFor();
    }

    /** Comes by the front page and signs in. @param count the how manieth code it is */
    async function signIn(page: Page, mailbox: string, count: number): Promise<void> {
      await page.getByRole('link', { name: 'Sign in' }).click();
      await page.getByLabel('Email address').fill(mailbox);
      await page.getByRole('button', { name: 'Email me a code' }).click();
      await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox, count));
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
    }

    /** What a person reads on the page, in a line. */
    const wordsOf = async (page: Page) => (await page.locator('main').innerText()).replace(/\s+/g, ' ');

    test('finds what an agent may do and since when, takes that away in part and as a whole, sees who signed in, and gets out', async (t) => {
      const mailbox = newMailbox();
      const agent = await on.claimed(mailbox);
      const may = async () => (await on.get('/api/me', agent.credential)).body.data?.scopes;
      t.deepEqual(await may(), ['read', 'write']);

      await visitTo(browser, on.url, look, on.url, async (page) => {
        await signIn(page, mailbox, 1);

        // What it may do, and since when.
        await page.getByRole('link', { name: 'Unnamed agent' }).click();
        await page.getByRole('heading', { level: 2, name: 'Permissions' }).waitFor();
        t.true(await page.getByRole('checkbox', { name: /^Look, list and search/ }).isChecked());
        t.true(await page.getByRole('checkbox', { name: /^Create, change and delete/ }).isChecked());
        t.regex(await wordsOf(page), /Approved Just now \d+ \w{3} \d{4}, \d\d:\d\d UTC/);

        // One permission less.
        await page.getByRole('checkbox', { name: /^Create, change and delete/ }).uncheck();
        await page.getByRole('button', { name: 'Save permissions' }).click();
        await page.getByText('Permissions saved.').waitFor();
        t.deepEqual(await may(), ['read']);

        // Who signed in, here and before.
        await goTo(page, 'Activity');
        t.regex(await wordsOf(page), /You signed in/);
        t.regex(await wordsOf(page), /127\.0\.x\.x/);
        await openMenu(page, mailbox);
        await page.getByRole('link', { name: 'Account and security' }).click();
        await page.getByRole('heading', { level: 2, name: 'Sessions' }).waitFor();
        t.regex(await wordsOf(page), /127\.0\.x\.x This browser/);

        // Nothing more of it at all.
        await goTo(page, 'Agents');
        await page.getByRole('link', { name: 'Unnamed agent' }).click();
        await page.getByRole('link', { name: 'Revoke agent…' }).click();
        t.regex(await wordsOf(page), /All its keys and tokens stop working immediately/);
        await page.getByRole('button', { name: 'Revoke agent' }).click();
        await page.getByText('Nothing it held works any more.').waitFor();
        t.is((await on.get('/api/me', agent.credential)).status, 401);

        // Out, for now.
        await openMenu(page, mailbox);
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.getByRole('heading', { level: 1, name: 'You’re signed out' }).waitFor();
      });

      // And for good.
      await visitTo(browser, on.url, look, on.url, async (page) => {
        await signIn(page, mailbox, 2);
        await openMenu(page, mailbox);
        await page.getByRole('link', { name: 'Account and security' }).click();
        await page.getByRole('link', { name: 'Danger zone' }).click();
        await page.getByRole('link', { name: 'Delete account…' }).click();
        await page.getByLabel('Your email address').fill(mailbox);
        await page.getByRole('button', { name: 'Delete account' }).click();
        await page.getByRole('heading', { level: 1, name: 'Your account is deleted' }).waitFor();
      });
    });
  });
});
