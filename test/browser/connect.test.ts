import type { Browser, Page } from 'playwright-core';
import { type AgentClient, openAgentClient } from '../helpers/agent-client.ts';
import { inBrowser, inEachLook, startChromium, visitTo } from '../helpers/chromium.ts';
import { type House, openHouse } from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import type { Engine } from '../helpers/service.ts';
import type { Test } from '../helpers/suite.ts';

inBrowser('letting an agent in that signs its requests, in a browser', connectTests);

function connectTests(engine: Engine, test: Test, executablePath: string): void {
  let house: House;
  let client: AgentClient;
  let browser: Browser;
  test.before(async () => {
    [house, browser] = await Promise.all([openHouse(engine), startChromium(executablePath)]);
    client = openAgentClient(house.on);
  });
  test.after(() => Promise.all([browser.close(), house.stop()]));

  async function signInOn(page: Page, mailbox: string): Promise<void> {
    const earlier = house.on.signInMails.filter(({ to }) => to === mailbox).length;
    await page.getByLabel('Email address').fill(mailbox);
    await page.getByRole('button', { name: 'Email me a code' }).click();
    await page.getByLabel('Code from the email').fill(await house.on.signInCodeFor(mailbox, earlier + 1));
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  const ask = () =>
    client.connect(client.newHost('Ann’s laptop'), {
      name: 'Release helper',
      capabilities: ['read', { name: 'write', constraints: { seconds: { max: 120 } } }],
      reason: 'To publish the release',
    });

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = (url: string, tour: (page: Page) => Promise<void>) =>
      visitTo(browser, house.on.url, look, url, tour);
    test('the human comes by the link, allows some of it, and revokes where the agent runs', async (t) => {
      const { agent, reply } = await ask();
      await visiting(reply.body.approval.verification_uri_complete, async (page) => {
        await signInOn(page, newMailbox());
        await seen(t, page, 'Approve these permissions?', 'connect');
        t.regex(await page.locator('.who').innerText(), /Release helper.*Name not verified/s);
        t.regex(await page.locator('dl').innerText(), /Runs on.*Ann’s laptop.*Name not verified/s);
        t.regex(await page.locator('.quote').innerText(), /“To publish the release”/);
        t.regex(await page.locator('fieldset').innerText(), /write.*Only with seconds at most 120\./s);
        const read = page.getByRole('checkbox', { name: /\bread\b/ });
        await page.getByRole('checkbox', { name: /\bwrite\b/ }).uncheck();
        await read.uncheck();
        await page.getByRole('button', { name: 'Approve selected' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, 'Approve these permissions?', 'connect, nothing selected');
        t.is(
          await page.locator('#permissions-error').innerText(),
          'Nothing is selected. Select something, or decline.',
        );
        t.is((await client.status(agent)).body.status, 'pending');
        await read.check();
        await page.getByRole('button', { name: 'Approve selected' }).click();
        await seen(t, page, 'Approved', 'connect, approved');
        const { body } = await client.status(agent);
        t.is(body.status, 'active');
        await page.getByRole('link', { name: 'Manage this agent' }).click();
        await seen(t, page, 'Release helper', 'connect, agent');
        await page.getByRole('link', { name: 'Agents' }).first().click();
        await seen(t, page, 'Agents', 'agents and where they run');
        t.regex(await page.locator('tr').filter({ hasText: 'Release helper' }).innerText(), /read/);
        await page.getByRole('link', { name: /^Environments/ }).click();
        await page.getByRole('link', { name: 'Revoke Ann’s laptop' }).click();
        await seen(t, page, 'Revoke “Ann’s laptop”?', 'revoke environment');
        await page.getByRole('button', { name: 'Revoke environment' }).click();
        await seen(t, page, 'Agents', 'agents, environment revoked');
      });
      t.is((await client.status(agent)).body.error, 'host_revoked');
    });

    test('the human types the code that the agent shows, and declines', async (t) => {
      const { agent, reply } = await ask();
      await visiting(reply.body.approval.verification_uri, async (page) => {
        await page.getByLabel('Code from the agent').fill('AAAA-2222');
        await page.getByRole('button', { name: 'Continue' }).click();
        await page.getByRole('alert').waitFor();
        await seen(t, page, 'Enter the code your agent or device shows you', 'connect, wrong code');
        await page.getByLabel('Code from the agent').fill(reply.body.approval.user_code.toLowerCase());
        await page.getByRole('button', { name: 'Continue' }).click();
        await signInOn(page, newMailbox());
        await page.getByRole('button', { name: 'Decline' }).click();
        await seen(t, page, 'Declined', 'connect, declined');
      });
      t.is((await client.status(agent)).body.status, 'rejected');
    });
  });
}
