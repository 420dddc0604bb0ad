import type { Browser, Page } from 'playwright-core';
import { syncNodes, type TreeNode } from '../../src/resource-server/index.ts';
import { inBrowser, inEachLook, keepPhonePicture, LIGHT, startChromium } from '../helpers/chromium.ts';
import { signIn } from '../helpers/human.ts';
import type { Engine } from '../helpers/service.ts';
import { visitAs } from '../helpers/visit-as.ts';
import { openWorkspaces, type Person, type Workspaces } from '../helpers/workspaces.ts';

/** Where a key or an agent works, in a browser. The pictures are those of docs/workspaces.md. */

const TREE: TreeNode[] = [
  { id: 'prj_launch', kind: 'project', name: 'Launch' },
  { id: 'fld_specs', parent: 'prj_launch', kind: 'folder', name: 'Specs' },
  { id: 'fld_drafts', parent: 'prj_launch', kind: 'folder', name: 'Drafts' },
  { id: 'prj_hiring', kind: 'project', name: 'Hiring' },
];

inBrowser('where something works, in a browser', (engine: Engine, test, executablePath: string) => {
  let world: Workspaces;
  let browser: Browser;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorkspaces(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), world.stop()]));

  /** A workspace of somebody, with things in it. */
  async function workspaceOf(owner: Person, nodes: readonly TreeNode[] = TREE): Promise<string> {
    const { api, on } = world;
    const workspace = await world.workspace(owner, [], 'Northwind Research');
    await syncNodes({ issuer: on.url, clientId: api.id, clientSecret: api.secret, workspace, nodes });
    return workspace;
  }
  const box = (page: Page, name: string | RegExp) => page.getByRole('checkbox', { name });
  const open = (page: Page, name: string) => page.getByLabel(`What is in ${name}`, { exact: true });

  inEachLook(engine, test, (test, look, seen) => {
    const visiting = async (mailbox: string, path: string, tour: (page: Page) => Promise<void>) =>
      visitAs({ on: world.on, browser, look }, await signIn(world.on, mailbox), path, tour);

    test('somebody chooses by keyboard what a key works on, and what it may do there', async (t) => {
      const ann = await world.person('ann');
      await workspaceOf(ann);
      await visiting(ann.mailbox, '/keys/new', async (page) => {
        await seen(t, page, 'Create key', 'new key, where');
        await page.getByLabel('Name', { exact: true }).fill('Audit bot');
        await box(page, 'My own things').press('Space');
        await open(page, 'Northwind Research').press('Enter');
        await open(page, 'Launch').press('Enter');
        await box(page, /Specs/).press('Space');
        await box(page, /Hiring/).press('Space');
        await seen(t, page, 'Create key', 'new key, things');
        if (look === LIGHT) await keepPhonePicture(page, 'new key, things');
        await page.getByRole('radio', { name: /^Custom/ }).press('Space');
        await page.getByRole('button', { name: 'Create key' }).press('Enter');
        await page.getByText('Choose what it may do in each place.').waitFor();
        await seen(t, page, 'Create key', 'new key, grid');
        await box(page, 'read in Specs').press('Space');
        await box(page, 'read in Hiring').press('Space');
        await box(page, 'write in Hiring').press('Space');
        await page.getByRole('button', { name: 'Create key' }).press('Enter');
        await seen(t, page, 'Key created', 'made key, where');
        await page.getByRole('link', { name: 'I’ve saved it' }).click();
        await page.getByRole('cell', { name: /Specs/ }).waitFor();
        await seen(t, page, 'Keys', 'keys, where');
      });
      const rows = await world.deps.db.all<{ actions: string }>(
        `SELECT actions FROM places WHERE granted_by = ? AND ended_at IS NULL ORDER BY actions`,
        [ann.id],
      );
      t.deepEqual(
        rows.map(({ actions }) => actions),
        ['read', 'read write'],
      );
    });

    test('without a place there is no key, and what was typed stays', async (t) => {
      const ann = await world.person('ann');
      await workspaceOf(ann);
      await visiting(ann.mailbox, '/keys/new', async (page) => {
        await page.getByLabel('Name', { exact: true }).fill('Audit bot');
        await box(page, 'My own things').uncheck();
        await page.getByRole('button', { name: 'Create key' }).click();
        await page.getByText('Choose at least one place.').waitFor();
        await seen(t, page, 'Create key', 'new key, no place');
        t.is(await page.getByLabel('Name', { exact: true }).inputValue(), 'Audit bot');
      });
    });

    test('of very many things, somebody searches for those that a key shall work on', async (t) => {
      const ann = await world.person('ann');
      const many = Array.from({ length: 220 }, (_, index) => ({
        id: `prj_${index}`,
        kind: 'project',
        name: `Project ${index}`,
      }));
      await workspaceOf(ann, many);
      await visiting(ann.mailbox, '/keys/new', async (page) => {
        await page.getByLabel('Name', { exact: true }).fill('Audit bot');
        await page.getByLabel('Find in workspaces').fill('Project 217');
        await page.getByRole('button', { name: 'Search' }).click();
        await box(page, /Project 217/).check();
        await seen(t, page, 'Create key', 'new key, search');
        t.is(await page.getByLabel('Name', { exact: true }).inputValue(), 'Audit bot');
        await page.getByLabel('Find in workspaces').fill('Project 3');
        await page.getByRole('button', { name: 'Search' }).click();
        t.true(await box(page, /Project 217/).isChecked());
        await page.getByRole('button', { name: 'Create key' }).click();
        await page.getByRole('heading', { level: 1, name: 'Key created' }).waitFor();
      });
    });

    test('an owner lets an agent read one folder, and takes it back; the workspace shows both', async (t) => {
      const ann = await world.person('ann');
      const id = await workspaceOf(ann);
      const { agent_id } = await world.on.claimed(ann.mailbox, true);
      await visiting(ann.mailbox, `/agents/${agent_id}`, async (page) => {
        await page.getByRole('link', { name: 'Change', exact: true }).click();
        await seen(t, page, 'Where it works', 'agent, where');
        await open(page, 'Northwind Research').press('Enter');
        await open(page, 'Launch').press('Enter');
        await box(page, /Specs/).press('Space');
        await page.getByRole('button', { name: 'Save' }).press('Enter');
        await page.getByText('Choose what it may do in each place.').waitFor();
        await seen(t, page, 'Where it works', 'agent, where, grid');
        await box(page, 'read in Specs').press('Space');
        await page.getByRole('button', { name: 'Save' }).press('Enter');
        await page.getByText('Saved where it works.').waitFor();
        await seen(t, page, 'Unnamed agent', 'agent, placed');
        await page.goto(`${world.on.url}/workspaces/${id}`);
        await page.getByRole('cell', { name: 'Specs' }).waitFor();
        await seen(t, page, 'Northwind Research Owner', 'workspace, agents');
        await page.goto(`${world.on.url}/workspaces/${id}/agents`);
        await seen(t, page, 'Agents', 'workspace, all agents');
        await page.getByRole('link', { name: 'Unnamed agent' }).click();
        await page.getByRole('link', { name: 'Change', exact: true }).click();
        await box(page, /Specs/).first().uncheck();
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByText('Saved where it works.').waitFor();
        await page.goto(`${world.on.url}/workspaces/${id}`);
        await page.getByText('No agents work here.').waitFor();
      });
    });
  });
});
