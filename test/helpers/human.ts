import { generateSync } from 'otplib';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { heading } from './claim-page.ts';
import { ensure } from './ensure.ts';
import type { TestService } from './service.ts';

/** People at their browsers, with the authenticator app in their pocket. */

export const SESSION = 'vouchsafe_session';

interface Visit {
  /** Default: a new one. */
  browser?: Browser;
  /** Where signing in leads. */
  next?: string;
  /** Come with the posts, such as the network that somebody is in. */
  headers?: Record<string, string>;
}

/** Asks for a code to sign in with, and reads it in the mailbox. */
export async function askForCode(on: TestService, mailbox: string, visit: Visit = {}): Promise<string> {
  const { browser = openBrowser(on), next = '/account', headers = {} } = visit;
  const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
  await browser.get(`/sign-in?next=${next}`);
  const asked = await browser.post('/sign-in', { email: mailbox }, headers);
  ensure(heading(asked) === 'Check your email', asked.text);
  return on.signInCodeFor(mailbox, earlier + 1);
}

/** Asks for a code, and types the one that comes. The page that this leads to: the goal, or the second factor. */
export async function typeMailedCode(on: TestService, mailbox: string, visit: Visit = {}): Promise<Page> {
  const browser = visit.browser ?? openBrowser(on);
  const code = await askForCode(on, mailbox, { ...visit, browser });
  return browser.post('/sign-in/code', { code }, visit.headers);
}

/** Signs in to an account without a second factor. */
export async function signIn(on: TestService, mailbox: string, visit: Visit = {}): Promise<Browser> {
  const browser = visit.browser ?? openBrowser(on);
  const page = await typeMailedCode(on, mailbox, { ...visit, browser });
  ensure(page.status === 200, page.text);
  ensure(browser.cookies.has(SESSION), page.text);
  return browser;
}

/** Whether somebody is signed in there. */
export async function isIn(browser: Browser): Promise<boolean> {
  const { status, path } = await browser.get('/account');
  return status === 200 && path === '/account';
}

/** What the app shows, or did or will show so many half minutes from now. */
export function appCode(on: Pick<TestService, 'clock'>, secret: string, steps = 0): string {
  return generateSync({ secret, epoch: Math.floor(on.clock() / 1000) + 30 * steps });
}

/** The secret as the page spells it for the app. */
export function secretOn(page: Page): string {
  const letters = /<code class="letters-shown" id="letters">([^<]*)<\/code>/.exec(page.text)?.[1];
  ensure(letters, page.text);
  return letters.replaceAll(' ', '');
}

/** The recovery codes that a page shows. */
export function recoveryCodesOn(page: Page): string[] {
  return [...page.text.matchAll(/<li><code>([^<]*)<\/code>/g)].map(([, code]) => code!);
}

/** Sets an app up in a fresh session; its current code is used then. */
export async function setUpApp(
  on: TestService,
  browser: Browser,
): Promise<{ secret: string; recoveryCodes: string[] }> {
  const secret = secretOn(await browser.get('/account/authenticator'));
  const page = await browser.post('/account/authenticator', { code: appCode(on, secret) });
  ensure(heading(page) === 'Two-step sign-in is on', page.text);
  return { secret, recoveryCodes: recoveryCodesOn(page) };
}
