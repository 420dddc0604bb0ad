import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import {
  inBrowser,
  keepPhonePicture,
  LIGHT,
  looksOn,
  see,
  startChromium,
  visitTo,
} from '../helpers/chromium.ts';
import { fillLists, SOME_NAMES } from '../helpers/long-lists.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

inBrowser('long lists, in a browser', (engine: Engine, test, executablePath: string) => {
  let on: TestService;
  let browser: Browser;
  test.before(async () => {
    [on, browser] = await Promise.all([startTestService(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('No keys yet').waitFor();
  }

  for (const look of looksOn(engine)) {
    test(`short ones are whole on one page (${look.name})`, async (t: ExecutionContext) => {
      const mailbox = `few-${look.name.replace(' ', '-')}@example.com`;
      await visitTo(browser, on.url, look, `${on.url}/keys`, async (page) => {
        await signInOn(page, mailbox);
        await fillLists(on, mailbox, SOME_NAMES, SOME_NAMES.length);
        await page.goto(`${on.url}/agents`);
        await page.getByText('1–7 of 7').waitFor();
        await see(t, page, look, 'Agents', 'agents, some');
        if (look === LIGHT) await keepPhonePicture(page, 'agents, some');
        await page.goto(`${on.url}/keys`);
        await page.getByRole('link', { name: 'Create a replacement' }).waitFor();
        await see(t, page, look, 'Keys', 'keys, some');
        if (look === LIGHT) await keepPhonePicture(page, 'keys, some');
      });
    });

    test(`are searched, sorted and paged by pointer and by keyboard (${look.name})`, async (t: ExecutionContext) => {
      const mailbox = `lists-${look.name.replace(' ', '-')}@example.com`;
      const isPhone = look.options.isMobile === true;
      const seen = (page: Page, heading: string, name: string) => see(t, page, look, heading, name);
      await visitTo(browser, on.url, look, `${on.url}/keys`, async (page) => {
        await signInOn(page, mailbox);
        await fillLists(on, mailbox);

        await page.goto(`${on.url}/agents`);
        await page.getByText('1–25 of 60').waitFor();
        await seen(page, 'Agents', 'agents, many');
        await page.getByRole('link', { name: 'Next' }).press('Enter');
        await page.getByText('26–50 of 60').waitFor();
        await page.getByRole('link', { name: 'Previous' }).click();
        await page.getByText('1–25 of 60').waitFor();
        if (isPhone) {
          t.is(await page.getByRole('columnheader').getByRole('link').count(), 0, 'no link that is not seen');
          await page.getByLabel('Sort by').selectOption('Name, A to Z');
          await page.getByRole('button', { name: 'Filter' }).click();
        } else {
          t.false(await page.getByLabel('Sort by').isVisible());
          await page.getByRole('link', { name: 'Agent', exact: true }).press('Enter');
        }
        await page.waitForURL(/sort=name/);
        await seen(page, 'Agents', 'agents, by name');
        await page.getByRole('searchbox').fill('robin');
        await page.getByRole('searchbox').press('Enter');
        await page.getByText('1–10 of 10 found').waitFor();
        t.regex(page.url(), /sort=name/);
        await page.getByRole('searchbox').fill('nobody');
        await page.getByRole('searchbox').press('Enter');
        await page.getByText('No agents match this filter.').waitFor();
        await seen(page, 'Agents', 'agents, none found');
        await page.getByRole('link', { name: 'Clear' }).last().click();
        await page.getByRole('link', { name: /^Revoked/ }).click();
        await page.getByText('1–9 of 9').waitFor();
        await page.getByRole('link', { name: /^Environments/ }).click();
        await page.getByText('1–25 of 60').waitFor();
        await seen(page, 'Agents', 'environments');

        await page.goto(`${on.url}/keys`);
        await seen(page, 'Keys', 'keys, many');
        await page.getByRole('link', { name: /^Ended/ }).click();
        await seen(page, 'Keys', 'keys, many ended');

        await page.goto(`${on.url}/account`);
        await seen(page, 'Account and security', 'account, many sessions');
        await page.getByRole('link', { name: 'Older' }).click();
        await page.getByRole('link', { name: 'Newer' }).click();
        await page.getByText('This browser').waitFor();

        await page.goto(`${on.url}/account/activity`);
        await seen(page, 'Activity', 'activity, much');
        await page.getByLabel('Agent or key').selectOption({ label: 'Nightly index' });
        await page.getByRole('button', { name: 'Filter' }).click();
        await page.waitForURL(/about=agt_/);
        await seen(page, 'Activity', 'activity, of one agent');
        t.is(await page.getByRole('listitem').filter({ hasText: 'You renamed Nightly index' }).count(), 1);
      });
    });
  }
});
