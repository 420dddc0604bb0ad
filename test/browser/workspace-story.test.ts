import type { Browser, Page } from 'playwright-core';
import { until } from '../helpers/api.ts';
import { inBrowser, looksOn, startChromium } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { connectSdk, startExample } from '../helpers/seed-world.ts';
import type { Engine } from '../helpers/service.ts';
import { visitAs } from '../helpers/visit-as.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** The whole story, by the pages alone: a colleague, a bot, and the example of an MCP server. */

inBrowser('a workspace from its beginning', (engine: Engine, test, executablePath: string) => {
  let world: Workspaces;
  let browser: Browser;
  let mcp: Awaited<ReturnType<typeof startExample>>;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorkspaces(engine), startChromium(executablePath)]);
    mcp = await startExample(world.on);
  });
  test.after(async () => {
    await mcp.stop();
    await Promise.all([browser.close(), world.stop()]);
  });

  for (const look of looksOn(engine)) {
    test(`invite a colleague, let a bot read one folder, take it back: refused within a second (${look.name})`, async (t) => {
      const { on } = world;
      const ann = await world.person('ann');
      const bob = { mailbox: newMailbox('bob') };
      const visiting = async (mailbox: string, path: string, tour: (page: Page) => Promise<void>) =>
        visitAs({ on, browser, look }, await signIn(on, mailbox), path, tour);

      let id = '';
      await visiting(ann.mailbox, '/workspaces', async (page) => {
        await page.getByRole('link', { name: 'Create workspace' }).click();
        await page.getByLabel('Name of the workspace').fill('Northwind Research');
        await page.getByRole('button', { name: 'Create workspace' }).click();
        await page.getByText('Workspace created.').waitFor();
        id = page.url().split('/').at(-1)!;
        await page.getByLabel('Email address').fill(bob.mailbox);
        await page.locator('#role').selectOption({ label: 'Admin' });
        await page.getByRole('button', { name: 'Send invitation' }).click();
        await page.getByText('Invited, or in it already.').waitFor();
      });
      // The server learns of the workspace by itself, begins it with two projects and folders, and tells those.
      await until(async () => (await mcp.api.read(id)).length === 4);
      for (const [item, folder] of [
        ['plan', 'specs'],
        ['idea', 'drafts'],
      ] as const) {
        const content = `the ${item}`;
        await mcp.workspaces.put(id, { id: item, kind: 'document', name: item, parent: folder, content });
      }

      const { pageUrl } = await on.invitationFor(bob.mailbox);
      const bot = await on.claimed(bob.mailbox, true);
      const client = await connectSdk(mcp.url, bot.credential);
      const read = (item: string) => client.outcome('read_item', { workspace: id, item });
      const write = (folder: string) =>
        client.outcome('write_item', { workspace: id, item: 'new', type: 'document', text: 'x', in: folder });
      const answers = async () => [
        await read('plan'),
        await write('specs'),
        await read('idea'),
        await write('hiring'),
      ];
      const refused = 'resource_scope';
      t.deepEqual(
        await answers(),
        [refused, refused, refused, refused],
        'claiming gives nothing in a workspace',
      );
      await visiting(bob.mailbox, pageUrl.slice(on.url.length), async (page) => {
        await page.getByRole('button', { name: 'Join' }).click();
        await page.getByText('You joined the workspace.').waitFor();
        await page.goto(`${on.url}/agents/${bot.agent_id}`);
        await page.getByRole('link', { name: 'Change', exact: true }).click();
        await page.getByLabel('What is in Northwind Research').click();
        await page.getByLabel('What is in Launch').click();
        await page.getByRole('checkbox', { name: /Specs/ }).check();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByRole('checkbox', { name: 'read in Specs' }).check();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByText('Saved where it works.').waitFor();
        await until(async () => (await read('plan')) === 'ok');
        t.deepEqual(await answers(), ['ok', 'endpoint_forbidden', refused, refused]);
        t.like(await client.call('read_item', { workspace: id, item: 'plan' }), { text: 'the plan' });

        await page.getByRole('link', { name: 'Change', exact: true }).click();
        await page.getByRole('checkbox', { name: /Specs/ }).first().uncheck();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByText('Saved where it works.').waitFor();
        const taken = Date.now();
        await until(async () => (await read('plan')) === refused);
        const took = Date.now() - taken;
        t.true(took < 1000, `refused after ${took} ms`);
      });
      t.deepEqual(await answers(), [refused, refused, refused, refused]);
      await client.close();
      t.is((await on.get('/api/me', bot.credential)).status, 200, 'its own account stays');
    });
  }
});
