import type { Browser, Page } from 'playwright-core';
import type { Browser as Session } from './browser.ts';
import { type Look, visitTo } from './chromium.ts';
import type { TestService } from './service.ts';

/** Opens a page in a browser, in the session of somebody who is signed in, and looks around there. */
export async function visitAs(
  { on, browser, look }: { on: TestService; browser: Browser; look: Look },
  { cookies }: Pick<Session, 'cookies'>,
  path: string,
  tour: (page: Page) => Promise<void>,
): Promise<void> {
  await visitTo(browser, on.url, look, `${on.url}/sign-in`, async (page) => {
    await page.context().addCookies([...cookies].map(([name, value]) => ({ name, value, url: on.url })));
    await page.goto(on.url + path);
    await tour(page);
  });
}
