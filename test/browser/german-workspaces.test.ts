import type { ExecutionContext } from 'ava';
import type { Browser, Page } from 'playwright-core';
import { placeAgent } from '../../src/domain/owner/place-agent.ts';
import { syncNodes } from '../../src/resource-server/index.ts';
import { GERMAN, inBrowser, see, startChromium } from '../helpers/chromium.ts';
import { visitConsole } from '../helpers/console-visit.ts';
import { signIn } from '../helpers/human.ts';
import { newOperator } from '../helpers/operator.ts';
import type { Engine } from '../helpers/service.ts';
import { visitAs } from '../helpers/visit-as.ts';
import { openWorkspaces, type Person, type Workspaces } from '../helpers/workspaces.ts';

/** Names as long as they may be, without a place to break. */
const WORKSPACE = 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverein'.slice(0, 64);
const NODE = 'Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz'.repeat(2).slice(0, 120);
const LONG_MAILBOX = 'a-person-with-a-very-long-address-as-some-have-them-at-work';

inBrowser('workspaces in German, on a small phone', (engine: Engine, test, executablePath: string) => {
  let world: Workspaces;
  let browser: Browser;
  test.before(async () => {
    [world, browser] = await Promise.all([openWorkspaces(engine), startChromium(executablePath)]);
  });
  test.after(() => Promise.all([browser.close(), world.stop()]));

  /** Looks at pages one after the other. */
  async function assertFit(
    t: ExecutionContext,
    page: Page,
    paths: readonly string[],
    status = 200,
  ): Promise<void> {
    for (const path of paths) {
      const answer = await page.goto(world.on.url + path);
      t.is(answer!.status(), status, path);
      const heading = (await page.locator('h1').innerText()).replaceAll(/\s+/g, ' ').trim();
      await see(t, page, GERMAN, heading, `workspaces ${path.replaceAll(/(?:\W|\w{3}_\w+)+/g, ' ')}`.trim());
    }
  }

  /** A workspace with long names of everything, and an agent in it. */
  async function longest(): Promise<{ owner: Person; admin: Person; id: string; agentId: string }> {
    const { api, on, deps, origin, person, workspace, invite } = world;
    const [owner, admin] = [await person(LONG_MAILBOX), await person('bob')];
    const id = await workspace(owner, [[admin, 'admin']], WORKSPACE);
    await invite(id, owner, { mailbox: `${LONG_MAILBOX}@a-host-that-is-long.example.com` });
    await syncNodes({
      issuer: on.url,
      clientId: api.id,
      clientSecret: api.secret,
      workspace: id,
      nodes: Array.from({ length: 8 }, (_, depth) => ({
        id: `n${depth}`,
        parent: depth === 0 ? undefined : `n${depth - 1}`,
        kind: 'folder',
        name: NODE,
      })),
    });
    const { agent_id: agentId } = await on.claimed(owner.mailbox, true);
    const deepest = await deps.db.get<{ id: string }>(
      `SELECT id FROM nodes WHERE workspace_id = ? AND external_id = 'n7'`,
      [id],
    );
    await placeAgent(deps, origin, owner.id, agentId, [
      { workspaceId: id, nodeId: deepest!.id, actions: ['read', 'write'] },
    ]);
    return { owner, admin, id, agentId };
  }

  test('fit and have no finding with the longest names: all pages of a workspace, and the choice of places', async (t) => {
    const { owner, admin, id, agentId } = await longest();
    const path = `/workspaces/${id}`;
    const session = await signIn(world.on, owner.mailbox);
    await visitAs({ on: world.on, browser, look: GERMAN }, session, '/workspaces', async (page) => {
      await assertFit(t, page, [
        '/workspaces',
        '/workspaces/new',
        path,
        ...['members', 'agents', 'apps', 'activity', 'rename', 'transfer', 'delete'].map(
          (name) => `${path}/${name}`,
        ),
        `${path}/members/${admin.id}`,
        `${path}/members/${admin.id}/remove`,
        '/keys/new',
        `/agents/${agentId}`,
        `/agents/${agentId}/where`,
      ]);
      // All that is in the picker, down to the eighth level.
      await page.goto(`${world.on.url}/keys/new`);
      for (const summary of await page.locator('.picker summary').all()) await summary.click();
      await page.locator('.picker input[name^="place:nod_"]').last().check();
      await see(t, page, GERMAN, 'Schlüssel erstellen', 'workspaces keys new, open');
    });
  });

  test('fit and have no finding with the longest names: the invitation', async (t) => {
    const { on, person, workspace, invite } = world;
    const [owner, guest] = [await person(LONG_MAILBOX), await person('guest')];
    await invite(await workspace(owner, [], WORKSPACE), owner, guest);
    const { pageUrl, declineUrl } = await on.invitationFor(guest.mailbox);
    const [toJoin, toDecline] = [pageUrl, declineUrl].map((url) => url.slice(on.url.length));
    for (const [reader, path, status] of [
      [owner, toJoin, 404],
      [guest, toJoin, 200],
      [guest, toDecline, 200],
    ] as const) {
      await visitAs(
        { on, browser, look: GERMAN },
        await signIn(on, reader.mailbox),
        '/agents',
        async (page) => assertFit(t, page, [path!], status),
      );
    }
  });

  test('fit and have no finding with the longest names: the pages of the console', async (t) => {
    const { id } = await longest();
    const operator = await newOperator(world.on);
    await visitConsole({ on: world.on, browser, operator, look: GERMAN }, '/console', async (page) => {
      await assertFit(t, page, [
        '/console/workspaces',
        `/console/workspaces/${id}`,
        `/console/workspaces/${id}/delete`,
      ]);
    });
  });
});
