import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import axe, { type AxeResults } from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** A real browser: types, clicks, draws, keeps cookies and obeys policies as people's do. */

const USUAL_PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Where Chromium is, by the environment's CHROMIUM or in the usual places; undefined where there is none. */
export function findChromium(): string | undefined {
  return [process.env.CHROMIUM ?? '', ...USUAL_PLACES].find((path) => existsSync(path));
}

/** Starts it, without a window and with a profile of its own. */
export function startChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    headless: true,
    chromiumSandbox: false, // will not start as root, nor in most containers
    args: [
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** How somebody looks at the pages. */
export interface Look {
  name: string;
  options: BrowserContextOptions;
}

const DESKTOP = { viewport: { width: 900, height: 800 } };
export const LIGHT: Look = { name: 'light', options: { ...DESKTOP, colorScheme: 'light' } };
export const DARK: Look = { name: 'dark', options: { ...DESKTOP, colorScheme: 'dark' } };
export const NARROW: Look = {
  name: 'narrow',
  options: { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true },
};
export const NO_SCRIPTS: Look = { name: 'no scripts', options: { ...DESKTOP, javaScriptEnabled: false } };

/** One person's browser, with nothing in it yet. */
export interface Visit {
  page: Page;
  /** Ends the visit; throws if the page erred, was kept from something by its policy, or asked anybody else for anything. */
  end(): Promise<void>;
}

/** @param origin whose pages these are */
export async function visit(browser: Browser, origin: string, look: Look): Promise<Visit> {
  const context = await browser.newContext(look.options);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const wrong: string[] = [];
  page.on('pageerror', (error) => void wrong.push(`threw: ${error.message}`));
  page.on('request', (request) => {
    const url = request.url();
    if (new URL(url).origin !== origin && !url.startsWith('data:')) wrong.push(`asked ${url}`);
  });
  page.on('requestfailed', (request) => {
    wrong.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on('console', (message) => {
    // A page with the status of a failure is noted here, too; what it must be, tests say of the page.
    const isOfPage = message.text().startsWith('Failed to load resource: the server responded with');
    if (isOfPage && !message.location().url.includes('/assets/')) return;
    if (message.type() === 'error' || message.type() === 'warning') wrong.push(message.text());
  });
  return {
    page,
    async end() {
      await context.close();
      assert.deepEqual(wrong, []);
    },
  };
}

/** Checks what a machine can of how a page is to use: by eye, by finger, by keyboard, by ear. */
export async function assertUsable(page: Page, look: Look): Promise<void> {
  const tooWide = await page.evaluate<number>(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );
  assert.ok(tooWide <= 0, `${page.url()} is ${tooWide} pixels wider than its window`);
  for (const control of await page.locator('button, .button, input:not([type=hidden])').all()) {
    const isBox = (await control.getAttribute('type')) === 'checkbox';
    const box = await (isBox ? page.locator('label', { has: control }) : control).boundingBox();
    assert.ok(box !== null && box.height >= 44, `${await control.innerText()} is ${box?.height} pixels high`);
  }
  if (look.options.javaScriptEnabled === false) return;
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  assert.deepEqual(
    violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`),
    [],
  );
}
