import { createPersonalKey } from '../../src/domain/credentials/personal-keys.ts';
import { localOrigin } from '../../src/work.ts';
import type { Browser, Page } from './browser.ts';
import { heading } from './claim-page.ts';
import { newMailbox } from './common.ts';
import { ensure } from './ensure.ts';
import type { Home } from './own-pages.ts';

/** The pages of a human's own keys. */

export const MADE = 'Key created';

export interface Made {
  id: string;
  credential: string;
}

/** The key on the page that shows it. */
export function credentialIn(page: Page): string {
  ensure(heading(page) === MADE, page.text);
  return /<code id="key">(sk_[0-9A-Za-z]+)<\/code>/.exec(page.text)![1]!;
}

/** What is said instead of making a key. */
export const problemIn = ({ text }: Page) =>
  text.includes('role="alert" id="problem"')
    ? /class="error"[^>]*>(?:<svg.*?<\/svg><span>)?([^<]*)</.exec(text)?.[1]
    : undefined;

/** The keys on the pages of all, in their order, on each page those that work first: each as text, with whether it is struck through. */
export async function history(browser: Browser) {
  let text = '';
  const paths = ['/keys'];
  for (const path of paths) {
    const page: Page = await browser.get(path);
    text += page.text;
    // A long list has its ended keys on a tab, and pages.
    for (const link of [/href="(\/keys\?show=ended)"/, /href="([^"]*)" rel="next"/]) {
      const next = link.exec(page.text)?.[1]?.replaceAll('&amp;', '&');
      if (next !== undefined && !paths.includes(next)) paths.push(next);
    }
  }
  return [...text.matchAll(/<tr role="row"[^>]*>\s*<td[\s\S]*?<\/tr>/g)].map(([row]) => ({
    text: row,
    name: /<span class="name">(?:<s>)?<bdi>(.*?)<\/bdi>/.exec(row)?.[1],
    isStruck:
      /^<tr role="row" class="ended">\s*<td role="cell"><span class="name"><s>.*<\/s><\/span><span class="under mono prefix"><s>.*<\/s><\/span><\/td>/.test(
        row,
      ),
    canEnd: row.includes('/revoke"'),
  }));
}

/** Fills the form for a key and sends it. */
export async function fill(browser: Browser, fields: Record<string, string> = {}): Promise<Page> {
  await browser.get('/keys/new');
  return browser.post('/keys/new', { name: 'script', preset: 'read-only', ...fields });
}

/** Makes many keys of a human without a browser. */
export async function makeMany(
  home: Home,
  account: string,
  count: number,
  days: number | undefined,
): Promise<void> {
  const ask = { name: 'one of many', scopes: ['read'], resources: undefined, days };
  for (let index = 0; index < count; index += 1) {
    await createPersonalKey(home.on.service.deps, localOrigin(`many${index}`), account, ask, {
      key: `many${index}`,
      owner: account,
      body: Buffer.from('x'),
      ttlSeconds: 1,
      floodLimit: undefined,
    });
  }
}

/** What humans do on these pages. @param of where their home is, asked for when it is needed */
export function keyPages(of: () => Home) {
  const me = async (key: string) => (await of().on.get('/api/me', key)).body.data;

  async function make(browser: Browser, fields?: Record<string, string>): Promise<Made> {
    const credential = credentialIn(await fill(browser, fields));
    return { credential, id: (await me(credential)).key.id };
  }

  async function human() {
    const mailbox = newMailbox();
    const browser = await of().signIn(mailbox);
    return { mailbox, browser, account: await of().accountOf(mailbox) };
  }

  /** What the form for a key would send: to be sent without looking at the page again. */
  async function form(
    browser: Browser,
    fields: Record<string, string> = {},
  ): Promise<Record<string, string>> {
    await browser.get('/keys/new');
    return { ...browser.form('/keys/new'), name: 'script', preset: 'read-only', ...fields };
  }

  return { me, make, human, form };
}
