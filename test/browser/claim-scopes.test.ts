import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { withConfigFile } from '../helpers/auth-md.ts';
import { inBrowser, looksOn, see, startChromium, visitTo } from '../helpers/chromium.ts';
import { APPROVED, codeIn, type House, openHouse, WAITING } from '../helpers/claim-page.ts';
import type { Engine } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';

inBrowser('what a claim gives in a browser', scopesTests);

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

  for (const look of looksOn(engine)) {
    test.describe(look.name, (test) => {
      const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
        visitTo(browser, house.on.url, look, url, tour);
      const seen = (t: ExecutionContext, page: Page, heading: string, name: string) =>
        see(t, page, look, engine, heading, name);

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
    });
  }
}
