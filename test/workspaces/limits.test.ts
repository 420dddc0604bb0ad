import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { makePlacedKey, openWorkspaces, outcome, type Workspaces } from '../helpers/workspaces.ts';

/** What is more than a limit of workspaces allows is refused with the number, and changes nothing. */

onEveryEngine('more than a limit of workspaces allows', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine, {
      limits: {
        workspacesOwned: 1,
        openInvitations: 1,
        invitesPerWorkspace: '2/d',
        placedKeysPerWorkspace: 1,
        nodeBatches: '2/m',
      },
    });
  });
  test.after(() => world.stop());

  test('workspaces, their names and invitations: on the page, beside the field, with what was typed', async (t) => {
    const ann = await world.person('ann');
    const browser = await signIn(world.on, ann.mailbox, { next: '/workspaces' });
    const create = async (name: string) => {
      await browser.get('/workspaces/new');
      return browser.post('/workspaces/new', { name });
    };
    t.is((await create('n'.repeat(65))).status, 400);
    const { path } = await create('First');
    const second = await create('Second');
    t.is(second.status, 400);
    t.regex(second.text, /You can own 1 workspace\./);
    t.regex(second.text, /value="Second"/);
    const invite = async (email: string) => {
      await browser.get(path);
      return browser.post(`${path}/invite`, { email, role: 'viewer' });
    };
    t.is((await invite('one@example.com')).status, 200);
    const open = await invite('two@example.com');
    t.is(open.status, 400);
    t.regex(open.text, /A workspace can have 1 open invitation\./);
    t.regex(open.text, /value="two@example\.com"/);
    t.is((await invite('one@example.com')).status, 200, 'it replaces its own');
    t.is((await invite('one@example.com')).status, 429);
  });

  test('keys that work in one: an ended one makes room', async (t) => {
    const ann = await world.person('ann');
    const id = await world.workspace(ann);
    const make = (days?: number) =>
      outcome(makePlacedKey(world.on, ann.id, [{ workspaceId: id, actions: ['read'] }], days));
    t.is(await make(7), 'done');
    t.is(await make(), 'tooMany');
    world.on.clock.advance(7 * 86_400);
    t.is(await make(), 'done');
    t.is(await make(), 'tooMany');
  });

  test('batches of nodes: 429 with the time to wait', async (t) => {
    const { api, on } = world;
    const ann = await world.person('ann');
    const workspace = await world.workspace(ann);
    const send = () => api.send({ workspace, upsert: [] });
    for (let sent = 0; sent < 2; sent += 1) t.is((await send()).status, 200);
    const limited = await send();
    t.is(limited.status, 429);
    t.true(Number(limited.headers.get('retry-after')) > 0);
    on.clock.advance(60);
    t.is((await send()).status, 200);
  });
});
