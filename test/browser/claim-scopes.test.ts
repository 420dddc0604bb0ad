import type { Browser, Page } from 'playwright-core';
import { withConfigFile } from '../helpers/auth-md.ts';
import { said } from '../helpers/ceremony.ts';
import { at, inBrowser, inEachLook, LIGHT, startChromium, visit, visitTo } from '../helpers/chromium.ts';
import { APPROVED, codeIn, type House, openHouse, WAITING } from '../helpers/claim-page.ts';
import type { Engine } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';

inBrowser('what a claim gives, and a page that waits, in a browser', scopesTests);

const FILE = {
  scopes: {
    read: { description: 'Look, list and search' },
    write: { description: 'Create and change' },
    delete: { description: 'Remove documents for good', destructive: true },
    admin: { description: 'Change the settings', implies: ['write', 'delete'] },
  },
  claimedScopes: ['read', 'write', 'delete', 'admin'],
};

function scopesTests(engine: Engine, test: Test, executablePath: string): void {
  let house: House;
  let browser: Browser;
  test.before(async () => {
    [house, browser] = await Promise.all([
      withConfigFile(FILE, (CONFIG) => openHouse(engine, { env: { CONFIG } })),
      startChromium(executablePath),
    ]);
  });
  test.after(() => Promise.all([browser.close(), house.stop()]));

  const box = (page: Page, scope: string) => page.getByRole('checkbox', { name: scope });
  const sentence = (page: Page) => page.getByText('This page updates by itself.');
  const status = (page: Page) => page.locator('p[role="status"]');

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
      visitTo(browser, house.on.url, look, url, tour);
    test('who unticks a permission gives the others, and sees what they gave', async (t) => {
      const asked = await house.ask({ name: 'Robin the release bot' });
      await visiting(asked.mail.claimUrl, async (page) => {
        await seen(t, page, WAITING, 'permissions');
        t.true(await box(page, 'read').isChecked());
        t.false(await box(page, 'Remove documents for good').isChecked());
        t.false(await box(page, 'Change the settings').isChecked());

        await box(page, 'Look, list and search').uncheck();
        await box(page, 'Create and change').uncheck();
        await page.getByLabel('Code from the email').fill(codeIn(asked.mail));
        await page.getByRole('button', { name: 'Approve' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, WAITING, 'permissions, none selected');
        t.is(
          await page.locator('#permissions-error').innerText(),
          'Nothing is selected. Select something, or decline.',
        );
        await page.locator('input[type="checkbox"]:focus').waitFor();
        t.is(await page.getByLabel('Code from the email').inputValue(), codeIn(asked.mail));

        await box(page, 'Look, list and search').check();
        await page.getByRole('button', { name: 'Approve' }).click();
        await seen(t, page, APPROVED, 'permissions, approved');
        t.deepEqual(await page.locator('dl .chip').allInnerTexts(), ['read']);
      });
      t.deepEqual((await house.poll(asked.claim_token)).body.data.scopes, ['read']);
    });

    test('after the agent has its key the page says so', async (t) => {
      const asked = await house.ask({ name: 'Robin the release bot' });
      await visiting(asked.mail.claimUrl, async (page) => {
        await page.getByLabel('Code from the email').fill(codeIn(asked.mail));
        await page.getByRole('button', { name: 'Approve' }).click();
        await at(page, APPROVED);
        t.is(await sentence(page).isVisible(), look.options.javaScriptEnabled !== false);
        t.is(said(await house.poll(asked.claim_token)), '200');
        await page.getByRole('link', { name: 'Check again' }).click();
        await page.getByText('The agent has its key').first().waitFor();
        await seen(t, page, APPROVED, 'collected');
        t.false(await sentence(page).isVisible());
        t.is(await page.getByRole('link', { name: 'Decline after all' }).count(), 0);
      });
    });
  });

  test.describe('by script', (test) => {
    /** Somebody at a page whose time stands still until the test moves it. */
    async function waitingAt(url: string) {
      const { page, end } = await visit(browser, house.on.url, LIGHT);
      const asked: string[] = [];
      page.on('request', (request) => {
        if (request.url().endsWith('/claim/state')) asked.push(request.method());
      });
      await page.clock.install();
      await page.goto(url);
      return { page, end, asked };
    }

    /** Lets 3 seconds pass, and waits for the answer to the question that follows. */
    async function nextAnswer(page: Page): Promise<void> {
      const answered = page.waitForResponse((response) => response.url().endsWith('/claim/state'));
      await page.clock.runFor(3000);
      await (await answered).finished();
    }

    test('the approved page asks every 3 seconds, says once that the agent has its key, and stops', async (t) => {
      const agent = await house.ask({ name: 'Robin' });
      const { page, end, asked } = await waitingAt(agent.mail.claimUrl);
      await page.getByLabel('Code from the email').fill(codeIn(agent.mail));
      await page.getByRole('button', { name: 'Approve' }).click();
      await at(page, APPROVED);
      await sentence(page).waitFor();
      for (let round = 0; round < 3; round += 1) await nextAnswer(page);
      t.deepEqual(asked, ['GET', 'GET', 'GET']);
      t.is(await status(page).innerText(), '');

      await page.getByRole('link', { name: 'Check again' }).focus();
      await house.poll(agent.claim_token);
      await nextAnswer(page);
      await page.locator('.steps').getByText('The agent has its key').waitFor();
      t.is(await status(page).count(), 1);
      t.is(await status(page).innerText(), 'The agent has its key');
      t.is(await page.getByRole('link', { name: 'Decline after all' }).count(), 0);
      t.is(await page.evaluate('document.activeElement.tagName'), 'H1');
      await page.clock.runFor(60_000);
      t.is(asked.length, 4);
      await end();
    });

    test('the page of an agent that has not asked shows its request once it has', async (t) => {
      const { verification_uri, ...registered } = (
        await house.on.post('/agent/auth', { type: 'anonymous', agent_name: 'Robin' })
      ).body.data;
      const { page, end } = await waitingAt(verification_uri);
      await at(page, 'Waiting for the agent');
      await sentence(page).waitFor();
      const asked = await house.ask({ agent: registered });
      await nextAnswer(page);
      await at(page, WAITING);
      t.is(await status(page).innerText(), WAITING);
      t.regex(await page.title(), /^Approve this agent\? · /);
      await page.getByLabel('Code from the email').fill(codeIn(asked.mail));
      await page.getByRole('button', { name: 'Approve' }).click();
      await at(page, APPROVED);
      await end();
    });

    test('after 10 minutes the page asks no more, and no longer says that it does', async (t) => {
      const agent = await house.ask();
      const { page, end, asked } = await waitingAt(agent.mail.claimUrl);
      await page.getByLabel('Code from the email').fill(codeIn(agent.mail));
      await page.getByRole('button', { name: 'Approve' }).click();
      await at(page, APPROVED);
      await sentence(page).waitFor();
      await page.clock.fastForward(600_000);
      await sentence(page).waitFor({ state: 'hidden' });
      const before = asked.length;
      await page.clock.runFor(60_000);
      t.is(asked.length, before);
      t.true(await page.getByRole('link', { name: 'Check again' }).isVisible());
      await end();
    });
  });
}
