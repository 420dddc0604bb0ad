import type { Browser, Page } from 'playwright-core';
import type { Look } from './chromium.ts';
import type { Operator } from './operator.ts';
import type { TestService } from './service.ts';
import { visitAs } from './visit-as.ts';

/** Opens a page of the console in a browser, in an operator's session, and looks around there. */
export async function visitConsole(
  { on, browser, operator, look }: { on: TestService; browser: Browser; operator: Operator; look: Look },
  path: string,
  tour: (page: Page) => Promise<void>,
): Promise<void> {
  await operator.signInAgain();
  await visitAs({ on, browser, look }, operator.browser, path, tour);
}
