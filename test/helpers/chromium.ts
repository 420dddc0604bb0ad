import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import axe, { type AxeResults, type RunOptions } from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { ensure } from './ensure.ts';
import type { Engine } from './service.ts';
import { onEveryEngine, type Test, test } from './suite.ts';

/** A real browser: types, clicks, draws, keeps cookies and obeys policies as people's do. */

const USUAL_PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Where Chromium is, by the environment's CHROMIUM or in the usual places; undefined where there is none. */
function findChromium(): string | undefined {
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

const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const LIGHT: Look = { name: 'light', options: { ...DESKTOP, colorScheme: 'light' } };
export const DARK: Look = { name: 'dark', options: { ...DESKTOP, colorScheme: 'dark' } };
export const NARROW: Look = {
  name: 'narrow',
  options: { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true },
};
export const NO_SCRIPTS: Look = { name: 'no scripts', options: { ...DESKTOP, javaScriptEnabled: false } };

/** The narrowest window that pages must fit in, and the language with the longest words. */
export const GERMAN: Look = {
  name: 'german',
  options: {
    viewport: { width: 320, height: 640 },
    colorScheme: 'light',
    isMobile: true,
    hasTouch: true,
    locale: 'de-DE',
  },
};

/** The looks that a test tries on an engine: all of them over both, since pages know nothing of the engine. */
export const looksOn = (engine: Engine): Look[] =>
  engine === 'sqlite' ? [LIGHT, NO_SCRIPTS] : [DARK, NARROW];

/** Checks a page and takes its picture, as see() does, in the look of a group of tests. */
type Seen = (t: ExecutionContext, page: Page, heading: string, name: string) => Promise<void>;

/** Groups of tests, one for each look of an engine. */
export function inEachLook(
  engine: Engine,
  test: Test,
  tests: (test: Test, look: Look, seen: Seen) => void,
): void {
  for (const look of looksOn(engine)) {
    test.describe(look.name, (test) =>
      tests(test, look, (t, page, heading, name) => see(t, page, look, heading, name)),
    );
  }
}

/** Tests in a real browser, on every engine; where there is none they are skipped, and it is said why. */
export function inBrowser(
  title: string,
  tests: (engine: Engine, test: Test, executablePath: string) => void,
): void {
  const executable = findChromium();
  if (executable !== undefined) {
    onEveryEngine(title, (engine, test) => tests(engine, test, executable));
    return;
  }
  const why = 'no Chromium found: "apt-get install chromium", or name one by CHROMIUM=/path/to/chromium';
  console.log(`The tests in a real browser are skipped: ${why}.`);
  test.skipIf(why)(title, () => {});
}

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
    const why = request.failure()?.errorText;
    // Who leaves a page ends what it was still loading; what its policy refuses, or nobody answers, fails by another name.
    if (why === 'net::ERR_ABORTED' && /\/assets\/|\/claim\/state$/.test(request.url())) return;
    wrong.push(`failed: ${request.url()} ${why}`);
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
      ensure(wrong.length === 0, wrong.join('\n'));
    },
  };
}

/** Somebody opens a link in a browser of their own; what the pages must not do is checked when they leave. */
export async function visitTo(
  browser: Browser,
  origin: string,
  look: Look,
  url: string,
  tour: (page: Page) => Promise<void>,
): Promise<void> {
  const { page, end } = await visit(browser, origin, look);
  await page.goto(url);
  await tour(page);
  await end();
}

/** Waits for the page with that heading. */
export async function at(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

/** With SCREENSHOTS=1 every page is kept here, to be looked at. */
const SCREENSHOTS = fileURLToPath(new URL('../screenshots/', import.meta.url));

/** The rules of axe that look at colors. */
const OF_COLORS: NonNullable<RunOptions['runOnly']> = {
  type: 'rule',
  values: ['color-contrast', 'link-in-text-block'],
};

/** Waits for a page, checks that it can be used, and takes its picture; on a phone in the dark, too. */
export async function see(
  t: ExecutionContext,
  page: Page,
  look: Look,
  heading: string,
  name: string,
): Promise<void> {
  await at(page, heading);
  await assertUsable(t, page, look);
  t.regex(await page.title(), / · Vouchsafe$/);
  await keepPicture(page, `${look.name}/${name}`);
  if (look !== NARROW) return;
  // Without motion colors do not fade: axe would measure one of those between. Nothing but the colors is another in the dark.
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  await assertNoFindings(t, page, { iframes: false, runOnly: OF_COLORS });
  await keepPicture(page, `${look.name} dark/${name}`);
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
}

/** Keeps a picture of the whole page, if pictures are wanted. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  if (process.env.SCREENSHOTS === undefined) return;
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png`, fullPage: true });
}

/** Keeps a picture of the page on a phone as wide as those of the design guide, if pictures are wanted. */
export async function keepPhonePicture(page: Page, name: string): Promise<void> {
  const size = page.viewportSize();
  if (process.env.SCREENSHOTS === undefined || size === null) return;
  await page.setViewportSize({ width: 390, height: 844 });
  await keepPicture(page, `phone/${name}`);
  await page.setViewportSize(size);
}

/** Something to click, touch or type into, as the page has it. */
interface Control {
  innerText: string;
  outerHTML: string;
  type?: string;
  classList: { contains(name: string): boolean };
  closest(selector: string): Control | null;
  getBoundingClientRect(): { height: number };
}

/** Runs in the page: measures all controls at once; of one that is hit by its label, the label. */
const measure = (controls: Control[]) =>
  controls.map((control) => {
    const target = ['checkbox', 'radio'].includes(control.type ?? '') ? control.closest('label') : control;
    const height = target?.getBoundingClientRect().height ?? 0;
    return {
      text: control.innerText || control.outerHTML.slice(0, 300),
      isSmall: control.classList.contains('small'),
      height,
    };
  });

/** Checks what a machine can of how a page is to use: by eye, by finger, by keyboard, by ear. */
async function assertUsable(t: ExecutionContext, page: Page, look: Look): Promise<void> {
  const tooWide = await page.evaluate<number>(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );
  t.true(tooWide <= 0, `${page.url()} is ${tooWide} pixels wider than its window`);
  const controls = await page
    .locator('button:visible, .button:visible, input:visible, summary:visible')
    .evaluateAll(measure);
  for (const { text, isSmall, height } of controls) {
    const least = look.options.isMobile !== true ? 24 : isSmall ? 36 : 44;
    t.true(height >= least, `${text} is ${height} pixels high`);
  }
  // The frames of the development mailbox hold mails, which take no messages: their policy runs no script.
  if (look.options.javaScriptEnabled !== false) await assertNoFindings(t, page, { iframes: false });
}

/** Checks that the navigation at the side marks one section, which its links change, by the keyboard and without a script, too. */
export async function assertCurrentSections(t: ExecutionContext, page: Page): Promise<void> {
  const links = page.locator('.side > nav a');
  const current = () =>
    page.evaluate<string[]>(
      `[...document.querySelectorAll('.side > nav a')]
        .filter((link) => getComputedStyle(link).fontWeight === '500').map((link) => link.hash)`,
    );
  t.deepEqual(await current(), [await links.first().getAttribute('href')]);
  for (const link of await links.all()) {
    await link.press('Enter');
    t.deepEqual(await current(), [await link.getAttribute('href')]);
  }
}

/** Checks that axe finds nothing. */
export async function assertNoFindings(t: ExecutionContext, page: Page, options: RunOptions): Promise<void> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>(`axe.run(document, ${JSON.stringify(options)})`);
  t.deepEqual(
    violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`),
    [],
  );
}
