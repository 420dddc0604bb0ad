import type { Browser, Page } from 'playwright-core';
import { type Look, visitTo } from './chromium.ts';
import type { Operator } from './operator.ts';
import type { TestService } from './service.ts';

/** Opens a page of the console in a browser, in an operator's session, and looks around there. */
export async function visitConsole(
  { on, browser, operator, look }: { on: TestService; browser: Browser; operator: Operator; look: Look },
  path: string,
  tour: (page: Page) => Promise<void>,
): Promise<void> {
  await operator.signInAgain();
  await visitTo(browser, on.url, look, `${on.url}/sign-in`, async (page) => {
    const cookies = [...operator.browser.cookies].map(([name, value]) => ({ name, value, url: on.url }));
    await page.context().addCookies(cookies);
    await page.goto(on.url + path);
    await tour(page);
  });
}
