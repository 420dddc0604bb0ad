import type { Browser } from 'playwright-core';
import { deriveColors } from '../../src/lib/theme.ts';
import { withConfigFile } from '../helpers/auth-md.ts';
import {
  assertNoFindings,
  at,
  inBrowser,
  keepPicture,
  looksOn,
  startChromium,
  visitTo,
} from '../helpers/chromium.ts';
import { codeIn, type House, openHouse, WAITING } from '../helpers/claim-page.ts';
import type { Engine } from '../helpers/service.ts';

const SERVICE = { name: 'Acme Robotics', accent: '#b3541e', imprintUrl: 'https://acme.example/imprint' };

const BUTTON_COLOR = `getComputedStyle(
  [...document.querySelectorAll('button')].find((each) => each.innerText === 'Approve'),
).backgroundColor`;

inBrowser('the pages of an operator with a brand', (engine: Engine, test, executablePath: string) => {
  let house: House;
  let browser: Browser;
  test.before(async () => {
    [house, browser] = await Promise.all([
      withConfigFile({ service: SERVICE }, (CONFIG) => openHouse(engine, { env: { CONFIG } })),
      startChromium(executablePath),
    ]);
  });
  test.after(() => Promise.all([browser.close(), house.stop()]));

  for (const look of looksOn(engine)) {
    test(`have its name, color and links (${look.name})`, async (t) => {
      const asked = await house.ask({ name: 'Robin the release bot' });
      await visitTo(browser, house.on.url, look, asked.mail.claimUrl, async (page) => {
        await at(page, WAITING);
        t.regex(await page.title(), / · Acme Robotics$/);
        t.regex(await page.locator('main').innerText(), /act for you at Acme Robotics/);
        t.is(
          await page.getByRole('link', { name: 'Imprint' }).getAttribute('href'),
          'https://acme.example/imprint',
        );
        const button = page.getByRole('button', { name: 'Approve' });
        const color = await page.evaluate<string>(BUTTON_COLOR);
        const { accent } = deriveColors(
          SERVICE.accent,
          look.options.colorScheme === 'dark' ? 'dark' : 'light',
        );
        const [red, green, blue] = Buffer.from(accent.slice(1), 'hex');
        t.is(color, `rgb(${red}, ${green}, ${blue})`);
        if (look.options.javaScriptEnabled !== false) await assertNoFindings(t, page, { iframes: false });
        await keepPicture(page, `${look.name}/own brand`);
        await page.getByLabel('Code from the email').fill(codeIn(asked.mail));
        await button.click();
        await at(page, 'Approved');
      });
    });
  }
});
