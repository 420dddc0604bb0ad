import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { loadConfig } from '../../src/config/load.ts';
import { LOCALES } from '../../src/lib/translate.ts';
import { previewMails } from '../../src/mail/preview.ts';
import { assertNoFindings, inBrowser, keepPicture, startChromium } from '../helpers/chromium.ts';
import { TEST_SECRET } from '../helpers/service.ts';

/** Every mail as a mail program with a browser's engine draws it. */

const AT = Date.UTC(2026, 10, 26, 0, 4);
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const config = loadConfig({
  SECRET: TEST_SECRET,
  PUBLIC_URL: 'https://id.example.com',
  SMTP_URL: 'smtp://127.0.0.1',
  MAIL_FROM: 'no-reply@id.example.com',
});
const service = { ...config.service, imprintUrl: 'https://example.com/imprint', contact: 'help@example.com' };

inBrowser('mails', (engine, test, executablePath) => {
  if (engine !== 'sqlite') return; // mails know nothing of the engine
  let browser: Browser;
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-mail-'));
  test.before(async () => {
    browser = await startChromium(executablePath);
  });
  test.after(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  for (const locale of LOCALES) {
    const files = () => readdirSync(join(folder, locale)).filter((file) => file.endsWith('.html'));

    for (const colorScheme of ['light', 'dark'] as const) {
      test(`fit, can be read and have no finding of axe (${locale}, ${colorScheme})`, async (t) => {
        previewMails({ ...config, service }, join(folder, locale), AT, locale);
        t.true(files().length >= 8);
        for (const file of files()) {
          const context = await browser.newContext({ colorScheme, viewport: { width: 600, height: 400 } });
          const page = await context.newPage();
          await page.setContent(readFileSync(join(folder, locale, file), 'utf8'));
          t.is(await page.locator('html').getAttribute('lang'), locale);
          await assertNoFindings(t, page, { runOnly: WCAG });
          if (locale === 'en') await keepPicture(page, `${colorScheme}/mail-${file.replace('.html', '')}`);
          for (const width of [600, 320]) {
            await page.setViewportSize({ width, height: 400 });
            const tooWide = await page.evaluate<number>(
              'document.documentElement.scrollWidth - document.documentElement.clientWidth',
            );
            t.true(tooWide <= 0, `${file} is ${tooWide} pixels wider than ${width}`);
          }
          await context.close();
        }
      });
    }
  }
});
