import type { Browser, Page } from 'playwright-core';
import { addResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { deleteExpiredRows } from '../../src/domain/jobs/retention.ts';
import { localOrigin } from '../../src/work.ts';
import {
  at,
  inBrowser,
  inEachLook,
  keepPhonePicture,
  LIGHT,
  NO_SCRIPTS,
  startChromium,
} from '../helpers/chromium.ts';
import { visitConsole } from '../helpers/console-visit.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import { createTestClock, type Engine, startTestService, type TestService } from '../helpers/service.ts';

/** The operator's console, in a browser. Its pictures are those of docs/console.md. */

const DAY_SECONDS = 86_400;

inBrowser('the operator’s console, in a browser', (engine: Engine, test, executablePath: string) => {
  let on: TestService;
  let browser: Browser;
  let operator: Operator;
  test.before(async () => {
    const clock = createTestClock(Date.now() - 29 * DAY_SECONDS * 1000);
    [on, browser] = await Promise.all([startTestService(engine, { clock }), startChromium(executablePath)]);
    await on.post('/agent/auth', { type: 'anonymous', agent_name: 'W'.repeat(64) });
    for (let day = 0; day < 29; day += 1) {
      for (let count = 0; count < [0, 1, 0, 2, 0, 1, 1][day % 7]!; count += 1) await on.register();
      clock.advance(DAY_SECONDS);
    }
    const names = ['Robin the release bot', 'Nightly index'];
    for (const agent_name of names) await on.post('/agent/auth', { type: 'anonymous', agent_name });
    await on.claimed('ada@example.com');
    await on.claimed('francesca-with-a-long-name@a-domain-that-is-long.example.org', true);
    const { deps } = on.service;
    const { server } = await addResourceServer(deps, localOrigin('test'), {
      url: 'https://api.example.com',
      name: 'api.example.com',
      scopes: undefined,
    });
    const seen = on.clock() - 2 * DAY_SECONDS * 1000;
    await deps.db.tx((tx) =>
      tx.run('UPDATE resource_servers SET seen_at = ? WHERE id = ?', [seen, server.id]),
    );
    await on.get('/.well-known/jwks.json');
    operator = await newOperator(on);
    await deleteExpiredRows(deps);
    const { agent_id } = await on.register();
    await operator.browser.get(`/console/agents/revoke?id=${agent_id}`);
    await operator.browser.post('/console/agents/revoke', { reason: 'reported by its owner' });
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  inEachLook(engine, test, (test, look, seen) => {
    const opened = (path: string, tour: (page: Page) => Promise<void>) =>
      visitConsole({ on, browser, operator, look }, path, tour);

    test('an operator looks around, from the overview by the navigation', async (t) => {
      await opened('/agents', async (page) => {
        await page.locator('.account > button').click();
        await page.getByRole('link', { name: 'Operator console' }).click();
        await seen(t, page, 'Overview', 'console, overview');
        if (look === LIGHT) await keepPhonePicture(page, 'console, overview');
        await page.getByText('Figures', { exact: true }).click();
        await page.getByRole('rowheader').first().waitFor();
        const sections = page.getByRole('navigation', { name: 'Operator console' });
        for (const section of ['Agents', 'Accounts', 'Keys'] as const) {
          await sections.getByRole('link', { name: section }).click();
          await seen(
            t,
            page,
            section === 'Keys' ? section : `${section} ${await countOn(page)}`,
            `console, ${section}`,
          );
          if (look === LIGHT) await keepPhonePicture(page, `console, ${section}`);
          t.is(await sections.locator('[aria-current="page"]').innerText(), section);
        }
      });
    });

    test('an operator finds an owner’s agents and account, and what an agent did', async (t) => {
      await opened('/console/agents', async (page) => {
        await page.getByLabel('ID, name, email address, key or network').fill('ada@example.com');
        await page.getByRole('button', { name: 'Filter' }).click();
        await page.getByRole('link', { name: 'Unnamed agent' }).first().click();
        await seen(t, page, 'Unnamed agent', 'console, agent');
        await page.getByRole('link', { name: 'a***@example.com' }).click();
        await seen(t, page, 'a***@example.com', 'console, account');
        await page.getByRole('link', { name: 'End sessions…' }).click();
        await seen(
          t,
          page,
          'End all sessions of this account?',
          'console, account, about to lose its sessions',
        );
        await page.getByRole('link', { name: 'Cancel' }).click();
        await at(page, 'a***@example.com');
      });
    });

    test('an operator selects two agents and revokes them, with a reason', async (t) => {
      const agents = [await on.register(), await on.register()];
      await opened('/console/agents?type=anonymous&status=active', async (page) => {
        for (const { agent_id } of agents) {
          await page.locator(`input[value="${agent_id}"]`).check();
        }
        if (look !== NO_SCRIPTS) await page.getByText('2 selected').waitFor();
        await page.getByRole('button', { name: 'Revoke selected…' }).click();
        await seen(t, page, 'Revoke 2 agents?', 'console, agents about to be revoked');
        await page.getByLabel('Reason').fill('Spam from one network');
        await page.getByRole('button', { name: 'Revoke 2 agents' }).click();
        await page.getByText('Agents revoked.').waitFor();
        for (const { credential } of agents) t.is((await on.get('/api/me', credential)).status, 401);
      });
    });
  });

  const countOn = (page: Page) => page.locator('h1 .count').innerText();
});
