import type { Browser, Page } from 'playwright-core';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { localOrigin } from '../../src/work.ts';
import { inBrowser, inEachLook, startChromium } from '../helpers/chromium.ts';
import { visitConsole } from '../helpers/console-visit.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { createTestClock, type Engine, startTestService, type TestService } from '../helpers/service.ts';
import { type SmtpSink, startSmtpSink } from '../helpers/smtp.ts';

/** What of the operator's console runs the service, in a browser. Its pictures are those of docs/console.md. */

inBrowser(
  'running the service by the console, in a browser',
  (engine: Engine, test, executablePath: string) => {
    let smtp: SmtpSink;
    let on: TestService;
    let browser: Browser;
    let operator: Operator;
    test.before(async () => {
      smtp = await startSmtpSink();
      smtp.behave((to) => (to.endsWith('.org') ? { code: 550, text: 'no such mailbox' } : 'accept'));
      const clock = createTestClock();
      [on, browser] = await Promise.all([
        startTestService(engine, { clock, env: { SMTP_URL: smtp.url } }),
        startChromium(executablePath),
      ]);
      operator = await newOperator(on);
      const { deps } = on.service;
      for (const [name, scopes, hours] of [
        ['Files', undefined, 0],
        ['Search', ['read'], 5],
        ['A name that is as long as the name of a resource server may well be', undefined, 50],
      ] as const) {
        const url = `https://${name.slice(0, 6).trim().toLowerCase().replace(' ', '-')}.example.com/mcp`;
        const { server } = await addResourceServer(deps, localOrigin('test'), { url, name, scopes });
        const seen = on.clock() - hours * 3_600_000;
        await deps.db.tx((tx) =>
          tx.run('UPDATE resource_servers SET seen_at = ? WHERE id = ?', [seen, server.id]),
        );
      }
      for (const mailbox of [
        'francesca-with-a-long-name@a-domain-that-is-long.example.org',
        'hugo@example.org',
      ]) {
        const { claim_token } = await on.register();
        await on.post('/agent/auth/claim', { claim_token, email: mailbox });
        while (
          (await deps.db.get('SELECT id FROM outbox WHERE mailbox = ? AND dead_at IS NOT NULL', [
            mailbox,
          ])) === undefined
        ) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      await deps.db.tx((tx) =>
        tx.run(
          `INSERT INTO mail_refusals (mailbox, registration_id, created_at, ends_at) VALUES (?, '', ?, NULL)`,
          ['grace@example.com', on.clock()],
        ),
      );
      await on.get('/.well-known/jwks.json');
    });
    test.after(() => Promise.all([browser.close(), on.stop(), smtp.close()]));

    inEachLook(engine, test, (test, look, seen) => {
      const opened = (path: string, tour: (page: Page) => Promise<void>) =>
        visitConsole({ on, browser, operator, look }, path, tour);

      test('an operator adds a resource server, rotates its secret and removes it', async (t) => {
        await opened('/console/resource-servers', async (page) => {
          await seen(t, page, 'Resource servers 3', 'console, resource servers');
          await page.getByRole('link', { name: 'Add a resource server' }).click();
          await seen(t, page, 'Add a resource server', 'console, adding a resource server');
          await page.getByLabel('Name').fill('Calendar');
          await page.getByLabel('URL').fill('calendar');
          await page.getByText('Only these').click();
          await page.getByLabel('Reason').fill('New API');
          await page.getByRole('button', { name: 'Add resource server' }).click();
          await page.getByText('Enter a whole http or https URL').waitFor();
          await seen(t, page, 'Add a resource server', 'console, a resource server with a wrong URL');
          await page.getByLabel('URL').fill('https://calendar.example.com');
          await page.getByText('Look, list and search').click();
          await page.getByRole('button', { name: 'Add resource server' }).click();
          await seen(t, page, 'Resource server added', 'console, resource server added');
          await page.getByRole('link', { name: 'I’ve saved it' }).click();
          await seen(t, page, 'Calendar', 'console, resource server');
          await page.getByRole('link', { name: 'Rotate secret…' }).click();
          await seen(t, page, 'Rotate the secret of “Calendar”?', 'console, rotating a secret');
          await page.getByLabel('Reason').fill('Yearly');
          await page.getByRole('button', { name: 'Rotate secret' }).click();
          await page.getByText('The old secret works until').waitFor();
          await seen(t, page, 'Secret rotated', 'console, secret rotated');
          await page.getByRole('link', { name: 'I’ve saved it' }).click();
          await page.getByRole('link', { name: 'Remove…' }).click();
          await seen(t, page, 'Remove “Calendar”?', 'console, removing a resource server');
          await page.getByLabel('Reason').fill('Gone');
          await page.getByRole('button', { name: 'Remove resource server' }).click();
          await page.getByText('Resource server removed.').waitFor();
        });
      });

      test('an operator looks at mail, and at who wants none', async (t) => {
        await opened('/console/mail', async (page) => {
          await seen(t, page, 'Mail', 'console, mail that waits');
          await page.getByRole('link', { name: 'Not delivered' }).click();
          await seen(t, page, 'Mail', 'console, mail');
          await page.getByRole('link', { name: 'Send all again…' }).click();
          await seen(t, page, 'Send all undelivered emails again?', 'console, mail to send again');
          await page.getByRole('link', { name: 'Cancel' }).click();
          await page.getByRole('link', { name: 'Stopped addresses' }).click();
          await seen(t, page, 'Mail', 'console, stopped addresses');
          await page.getByRole('link', { name: 'Allow emails to g***@example.com' }).click();
          await seen(t, page, 'Allow emails about requests to g***@example.com?', 'console, allowing emails');
        });
      });

      test('an operator reads the audit log, the trusted issuers and the settings', async (t) => {
        await opened('/console/audit-log', async (page) => {
          await seen(t, page, 'Audit log', 'console, audit log');
          await page.getByLabel('Kind').selectOption('mail.dead');
          await page.getByRole('button', { name: 'Filter' }).click();
          await page.locator('tbody a').first().click();
          await seen(t, page, 'Email not delivered', 'console, event');
          const sections = page.getByRole('navigation', { name: 'Operator console' });
          for (const section of ['Trusted issuers', 'Settings']) {
            await sections.getByRole('link', { name: section }).click();
            await seen(t, page, section, `console, ${section}`);
          }
        });
      });
    });
  },
);
