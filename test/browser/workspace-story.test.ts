import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import Koa from 'koa';
import type { Browser, Page } from 'playwright-core';
import { createVerifier, syncNodes } from '../../src/resource-server/index.ts';
import { protect } from '../../src/resource-server/koa.ts';
import { until } from '../helpers/api.ts';
import { inBrowser, looksOn, startChromium } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import type { Engine } from '../helpers/service.ts';
import { visitAs } from '../helpers/visit-as.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** The whole story, by the pages alone: a colleague, a bot, an API behind the kit. */

inBrowser('a workspace from its beginning', (engine: Engine, test, executablePath: string) => {
  let world: Workspaces;
  let browser: Browser;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorkspaces(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), world.stop()]));

  /** An API of documents in folders, behind the kit: `/WORKSPACE/PROJECT/FOLDER`. */
  async function startApi(t: ExecutionContext) {
    const { api, on } = world;
    const own = { issuer: on.url, clientId: api.id, clientSecret: api.secret };
    const verifier = createVerifier({ ...own, resource: api.url });
    const app = new Koa();
    for (const [method, scope] of [
      ['GET', 'read'],
      ['POST', 'write'],
    ] as const) {
      const guard = protect({
        verifier,
        scopes: [scope],
        place: (ctx) => {
          const [workspace = '', ...within] = ctx.path.slice(1).split('/');
          return { workspace, within };
        },
      });
      app.use((ctx, next) => (ctx.method === method ? guard(ctx, next) : next()));
    }
    app.use((ctx) => {
      ctx.body = { documents: [] };
    });
    const server = app.listen(0);
    await once(server, 'listening');
    t.teardown(() => {
      verifier.close();
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    return {
      tell: (workspace: string) =>
        syncNodes({
          ...own,
          workspace,
          nodes: [
            { id: 'prj_launch', kind: 'project', name: 'Launch' },
            { id: 'fld_specs', parent: 'prj_launch', kind: 'folder', name: 'Specs' },
            { id: 'fld_drafts', parent: 'prj_launch', kind: 'folder', name: 'Drafts' },
          ],
        }),
      async ask(credential: string, path: string, method = 'GET'): Promise<number> {
        const headers = { Authorization: `Bearer ${credential}` };
        const answer = await fetch(`http://127.0.0.1:${port}/${path}`, { method, headers });
        await answer.arrayBuffer();
        return answer.status;
      },
    };
  }

  for (const look of looksOn(engine)) {
    test(`invite a colleague, let a bot read one folder, take it back: refused within a second (${look.name})`, async (t) => {
      const { on } = world;
      const documents = await startApi(t);
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
      await documents.tell(id);

      const { pageUrl } = await on.invitationFor(bob.mailbox);
      const bot = await on.claimed(bob.mailbox, true);
      const specs = `${id}/prj_launch/fld_specs`;
      const drafts = `${id}/prj_launch/fld_drafts`;
      const answers = async () => [
        await documents.ask(bot.credential, specs),
        await documents.ask(bot.credential, specs, 'POST'),
        await documents.ask(bot.credential, drafts),
        await documents.ask(bot.credential, id),
      ];
      t.deepEqual(await answers(), [403, 403, 403, 403], 'claiming gives nothing in a workspace');
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
        await until(async () => (await documents.ask(bot.credential, specs)) === 200);
        t.deepEqual(await answers(), [200, 403, 403, 403]);

        await page.getByRole('link', { name: 'Change', exact: true }).click();
        await page.getByRole('checkbox', { name: /Specs/ }).first().uncheck();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByText('Saved where it works.').waitFor();
        const taken = Date.now();
        await until(async () => (await documents.ask(bot.credential, specs)) === 403);
        const took = Date.now() - taken;
        t.true(took < 1000, `refused after ${took} ms`);
      });
      t.deepEqual(await answers(), [403, 403, 403, 403]);
      t.is((await on.get('/api/me', bot.credential)).status, 200, 'its own account stays');
    });
  }
});
