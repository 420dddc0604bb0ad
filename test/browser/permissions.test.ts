import type { Browser, Page } from 'playwright-core';
import { inBrowser, inEachLook, startChromium, visitTo } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { keyClient, READ_DOCUMENTS } from '../helpers/permissions.ts';
import { type Engine, startTestService, type TestService } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';
import { addTreeApi } from '../helpers/workspaces.ts';

inBrowser('deciding about permission requests, in a browser', permissionTests);

function permissionTests(engine: Engine, test: Test, executablePath: string): void {
  let on: TestService;
  let browser: Browser;
  test.before(async () => {
    const limits = { permissionsPerIp: '100000/h' };
    [on, browser] = await Promise.all([startTestService(engine, { limits }), startChromium(executablePath)]);
    await addTreeApi(on, on.service.deps.config.publicUrl);
  });
  test.after(() => Promise.all([browser.close(), on.stop()]));

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await on.signInCodeFor(mailbox));
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
      visitTo(browser, on.url, look, url, tour);
    test('a human comes by the link, gives some of it, sees what they gave and ends it', async (t) => {
      const agent = keyClient(on);
      const request = await agent.request({
        name: 'CI bot',
        permissions: [
          { ...READ_DOCUMENTS, actions: ['read', 'write'], reason: 'Nightly index' },
          { ...READ_DOCUMENTS, path: '', actions: ['write'] },
        ],
      });
      const { verification_uri: link } = (await agent.post(request)).body.data;
      await visiting(link, async (page) => {
        await signInOn(page, newMailbox());
        await seen(t, page, 'Approve these permissions?', 'permissions, review');
        t.is(await page.getByRole('checkbox', { checked: true }).count(), 2);
        await page.getByRole('checkbox', { checked: true }).nth(1).uncheck();
        await page.getByRole('button', { name: 'Approve selected' }).click();
        await seen(t, page, 'Approved', 'permissions, approved');
        t.is((await agent.show(request.id)).body.data.state, 'granted');
        await page.getByRole('link', { name: 'Go to your permissions' }).click();
        await seen(t, page, 'Permission requests', 'permissions, given');
        await page.getByRole('link', { name: 'End the permissions of CI bot' }).click();
        await seen(t, page, 'End the permissions of CI bot?', 'permissions, end');
        await page.getByRole('button', { name: 'End permissions' }).click();
        await seen(t, page, 'Permission requests', 'permissions, ended');
        t.is((await agent.token()).status, 400);
      });
    });

    test('a human types the code of a terminal, lets it act, and ends it', async (t) => {
      const terminal = keyClient(on);
      const { user_code: code } = (await terminal.ask({ permissions: undefined, name: 'Laptop' })).body.data;
      await visiting(`${on.url}/permissions`, async (page) => {
        await seen(t, page, 'Find a request', 'permissions, code');
        await page.getByLabel('Code from the agent, device or terminal').fill(code);
        await page.getByRole('button', { name: 'Continue' }).click();
        await signInOn(page, newMailbox());
        await seen(t, page, 'Let this terminal act for you?', 'permissions, terminal');
        await page.getByRole('checkbox', { name: /\bread\b/ }).check();
        await page.getByRole('button', { name: 'Let it act for me' }).click();
        await seen(t, page, 'The terminal acts for you', 'permissions, terminal acts');
        await page.getByRole('link', { name: 'Go to your terminals' }).click();
        await page.getByRole('link', { name: 'End Laptop' }).click();
        await seen(t, page, 'End Laptop?', 'permissions, end terminal');
        await page.getByRole('button', { name: 'End terminal' }).click();
        await page.getByRole('status').waitFor();
        t.is((await terminal.held()).status, 401);
      });
    });
  });
}
