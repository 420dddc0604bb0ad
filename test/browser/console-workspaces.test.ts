import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { at, inBrowser, looksOn, see, startChromium } from '../helpers/chromium.ts';
import { newMailbox } from '../helpers/common.ts';
import { visitConsole } from '../helpers/console-visit.ts';
import { newOperator, type Operator } from '../helpers/operator.ts';
import type { Engine } from '../helpers/service.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** Shared workspaces in the operator's console, in a browser. The pictures are those of docs/console.md. */

inBrowser('workspaces in the console, in a browser', (engine: Engine, test, executablePath: string) => {
  let world: Workspaces;
  let browser: Browser;
  let operator: Operator;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorkspaces(engine), startChromium(executablePath)]);
    operator = await newOperator(world.on);
  });
  test.after(() => Promise.all([browser.close(), world.stop()]));

  for (const look of looksOn(engine)) {
    test(`an operator finds a workspace and deletes it (${look.name})`, async (t: ExecutionContext) => {
      const { on, person, workspace, invite, placeKey } = world;
      const [ann, bob] = [await person('ann'), await person('bob')];
      const name = `Northwind Research ${look.name}`;
      await workspace(ann, [], 'A name of a workspace that is as long as such names may be');
      const id = await workspace(ann, [[bob, 'viewer']], name);
      await invite(id, ann, { mailbox: newMailbox('kim') });
      await placeKey(id, ann);
      const tour = async (page: Page) => {
        const seen = (heading: string, picture: string) => see(t, page, look, heading, `console, ${picture}`);
        await seen('Workspaces', 'workspaces');
        await page.getByLabel('Name or ID, or email address of a member').fill(name);
        await page.getByRole('button', { name: 'Filter' }).click();
        await page.getByRole('link', { name }).click();
        await seen(name, 'workspace');
        await page.getByRole('link', { name: 'Delete workspace…' }).click();
        await seen(`Delete “${name}”?`, 'workspace about to be deleted');
        await page.getByLabel('Reason').fill('Abuse');
        await page.getByRole('button', { name: 'Delete workspace' }).click();
        await page.getByText('Workspace deleted.').waitFor();
        await seen(name, 'workspace, deleted');
        await page.goto(`${on.url}/console/workspaces?workspaceStatus=ended&q=nothing-like-it`);
        await page.getByText('No workspaces match this filter.').waitFor();
        await at(page, 'Workspaces');
      };
      await visitConsole({ on, browser, operator, look }, '/console/workspaces', tour);
    });
  }
});
