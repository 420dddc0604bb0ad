import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { type App, getCode, newHuman, registerApp } from '../helpers/app-client.ts';
import { at, inBrowser, looksOn, see, startChromium } from '../helpers/chromium.ts';
import { visitConsole } from '../helpers/console-visit.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

/** OAuth clients in the operator's console, in a browser. The pictures are those of docs/console.md. */

inBrowser('OAuth clients in the console, in a browser', (engine: Engine, test, executablePath: string) => {
  let on: TestService;
  let browser: Browser;
  let operator: Operator;
  test.before(async () => {
    [on, browser] = await Promise.all([startTestService(engine), startChromium(executablePath)]);
    operator = await newOperator(on);
    await registerApp(on, { client_name: null });
    await registerApp(on, {
      client_name: 'A name of an app that is as long as names of apps may be',
      redirect_uris: [
        `https://a-host-that-is-long.app.example/${'callback/'.repeat(12)}`,
        'http://127.0.0.1:7777/callback',
      ],
    });
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  /** An app that people approved. */
  async function approved(client_name: string): Promise<App> {
    const app = await registerApp(on, { client_name });
    for (const { browser: human } of [await newHuman(on), await newHuman(on)]) {
      await getCode(on, app, { query: { scope: 'read write' }, boxes: ['scope:read'], browser: human });
    }
    return app;
  }

  for (const look of looksOn(engine)) {
    test(`an operator suspends a client, resumes and removes it (${look.name})`, async (t: ExecutionContext) => {
      const name = `Marlin Editor ${look.name}`;
      const { clientId } = await approved(name);
      const tour = async (page: Page) => {
        const seen = (heading: string, picture: string) =>
          see(t, page, look, heading, `console, OAuth ${picture}`);
        await seen('OAuth clients', 'clients');
        await page.getByLabel('Name, ID, URL, or mailbox of who registered it').fill(name);
        await page.getByRole('button', { name: 'Filter' }).click();
        await page.getByRole('link', { name }).click();
        await seen(name, 'client');
        await page.getByRole('link', { name: 'Suspend client…' }).click();
        await seen(`Suspend “${name}”?`, 'client about to be suspended');
        await page.getByLabel('Reason').fill('Asks for more than it needs');
        await page.getByRole('button', { name: 'Suspend client' }).click();
        await seen(name, 'client, suspended');
        await page.getByRole('link', { name: 'Resume client…' }).click();
        await seen(`Resume “${name}”?`, 'client about to be resumed');
        await page.getByLabel('Reason').fill('Its operator answered');
        await page.getByRole('button', { name: 'Resume client' }).click();
        await at(page, name);
        await page.getByRole('link', { name: 'Remove client…' }).click();
        await seen(`Remove “${name}”?`, 'client about to be removed');
        await page.getByLabel('Reason').fill('Abuse');
        await page.getByRole('button', { name: 'Remove client' }).click();
        await seen(name, 'client, removed');
        t.true(page.url().endsWith(clientId));
      };
      await visitConsole({ on, browser, operator, look }, '/console/oauth-clients', tour);
    });
  }
});
