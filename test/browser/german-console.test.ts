import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { DEVICE_GRANT } from '../../src/http/oauth/grant-types.ts';
import { addApi } from '../helpers/api.ts';
import { getCode, redeem, registerApp } from '../helpers/app-client.ts';
import { GERMAN, inBrowser, see, startChromium, visitTo } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { visitConsole } from '../helpers/console-visit.ts';
import { signIn } from '../helpers/human.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';

inBrowser(
  'apps, devices and the console in German, on a small phone',
  (engine: Engine, test, executablePath: string) => {
    let on: TestService;
    let browser: Browser;
    let operator: Operator;
    test.before(async () => {
      [on, browser] = await Promise.all([startTestService(engine), startChromium(executablePath)]);
      operator = await newOperator(on);
    });
    test.after(() => Promise.all([browser.close(), on.stop()]));

    const seen = (t: ExecutionContext, page: Page, heading: string, name: string) =>
      see(t, page, GERMAN, heading, name);

    async function signInOn(page: Page, mailbox: string): Promise<void> {
      const earlier = on.signInMails.filter(({ to }) => to === mailbox).length;
      await page.getByLabel('E-Mail-Adresse').fill(mailbox);
      await page.getByRole('button', { name: 'Code senden' }).click();
      await page.getByLabel('Code aus der E-Mail').fill(await on.signInCodeFor(mailbox, earlier + 1));
      await page.getByRole('button', { name: 'Anmelden' }).click();
    }

    test('fit and have no finding: connected apps, a device, and clients of one’s own', async (t) => {
      const mailbox = newMailbox();
      const api = await addApi(on);
      const app = await registerApp(on, {
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
      });
      const human = await signIn(on, mailbox);
      const query = { scope: 'read write', resource: api.resource };
      await redeem(on, app, await getCode(on, app, { query, browser: human }));
      const form = { client_id: app.clientId, ...query };
      const { user_code } = (await on.form('/oauth2/device_authorization', form)).body;
      await visitTo(browser, on.url, GERMAN, `${on.url}/sign-in?next=/apps`, async (page) => {
        await signInOn(page, mailbox);
        await seen(t, page, 'Verbundene Apps 1', 'apps');
        await page.getByRole('link', { name: 'Marlin Editor widerrufen' }).click();
        await seen(t, page, '„Marlin Editor“ widerrufen?', 'apps, about to be revoked');
        await page.goto(`${on.url}/connect`);
        await page.getByLabel('Code vom Agenten oder Gerät').fill(user_code);
        await page.getByRole('button', { name: 'Weiter' }).click();
        await seen(t, page, 'Ein Gerät verbinden?', 'device');
        await page.getByRole('button', { name: 'Verbinden' }).click();
        await seen(t, page, 'Das Gerät ist verbunden', 'device, connected');
        await page.goto(`${on.url}/apps/clients/new`);
        await seen(t, page, 'Client erstellen', 'clients, new');
      });
    });

    test('fit and have no finding: the pages of the console', async (t) => {
      const { agent_id } = await on.claimed(newMailbox());
      const app = await registerApp(on);
      await visitConsole({ on, browser, operator, look: GERMAN }, '/console', async (page) => {
        for (const path of [
          '',
          '/agents',
          `/agents/${agent_id}`,
          '/accounts',
          `/accounts/${operator.accountId}`,
          `/accounts/${operator.accountId}/end-sessions`,
          '/keys',
          '/resource-servers',
          '/resource-servers/new',
          '/oauth-clients',
          `/oauth-clients/${app.clientId}`,
          `/oauth-clients/${app.clientId}/suspend`,
          `/oauth-clients/${app.clientId}/remove`,
          '/trusted-issuers',
          '/mail',
          '/mail/suppressed',
          '/audit-log',
          '/settings',
        ]) {
          const answer = await page.goto(`${on.url}/console${path}`);
          t.is(answer!.status(), 200, path);
          const heading = (await page.locator('h1').innerText()).trim();
          await seen(t, page, heading, `console${path.replaceAll(/(?:\W|\w{3}_\w+)+/g, ' ')}`.trim());
        }
      });
    });
  },
);
