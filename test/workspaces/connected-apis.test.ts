import { changeResourceServer } from '../../src/domain/audiences/resource-servers.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { addTreeApi, openWorkspaces, type TreeApi, type Workspaces } from '../helpers/workspaces.ts';

onEveryEngine('APIs that an owner connects to a workspace (P-5)', (engine, test) => {
  let world: Workspaces;
  let few: TreeApi;
  test.before(async () => {
    world = await openWorkspaces(engine);
    const input = { name: 'Wiki', hasAllWorkspaces: false };
    few = await addTreeApi(world.on, 'https://wiki.example.com', input);
  });
  test.after(() => world.stop());

  const enter = (who: { mailbox: string }) => signIn(world.on, who.mailbox, { next: '/workspaces' });
  const toldTo = async (api: TreeApi) =>
    (await api.get('/resource/workspaces')).body.workspaces.map(({ id }: { id: string }) => id);

  test('an owner connects one with a button: it is told of the workspace, alone, and can tell its tree', async (t) => {
    const { person, workspace, api } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const browser = await enter(ann);
    const before = await browser.get(`/workspaces/${id}`);
    t.regex(before.text, /wiki\.example\.com doesn’t know this workspace/);
    t.notRegex(before.text, /Connect The API/, 'one that is told of all');
    t.false((await toldTo(few)).includes(id));
    t.is((await few.send({ workspace: id, upsert: [] })).status, 404);
    const marks = await Promise.all(
      [few, api].map(async (each) => (await each.get('/resource/events')).body.last),
    );

    const after = await browser.post(`/workspaces/${id}/connect`, { api: few.id });
    t.regex(after.text, /Connected\. The API knows this workspace now\./);
    t.notRegex(after.text, /Connect Wiki/);
    t.true((await toldTo(few)).includes(id));
    t.is((await few.send({ workspace: id, upsert: [{ id: 'a', kind: 'page', name: 'A' }] })).status, 200);
    const [ofFew, ofApi] = await Promise.all(
      [few, api].map(async (each, at) => (await each.get(`/resource/events?after=${marks[at]}`)).body.events),
    );
    t.like(ofFew[0], { type: 'workspace_created', workspace: id });
    t.is(ofFew.length, 1);
    t.deepEqual(ofApi, [], 'an API that knew it is told nothing');
  });

  test('twice is once, and keeps what the API told', async (t) => {
    const { person, workspace, eventsOf } = world;
    const ann = await person('ann');
    const id = await workspace(ann);
    const browser = await enter(ann);
    await browser.get(`/workspaces/${id}`);
    const { csrf } = browser.form(`/workspaces/${id}/connect`);
    const press = () => browser.send(`/workspaces/${id}/connect`, { csrf: csrf!, api: few.id });
    await Promise.all([press(), press()]);
    await few.send({ workspace: id, upsert: [{ id: 'a', kind: 'page', name: 'A' }] });
    t.is((await press()).status, 200);
    t.is((await few.read(id)).length, 1);
    t.is((await eventsOf(id)).filter(({ kind }) => kind === 'workspace.connected').length, 1);
  });

  test('only owners see the button and can press it; strangers get 404', async (t) => {
    const { person, workspace } = world;
    const [ann, bob, eve] = [await person('ann'), await person('bob'), await person('eve')];
    const id = await workspace(ann, [[bob, 'admin']]);
    const own = await workspace(eve);
    const admin = await enter(bob);
    t.notRegex((await admin.get(`/workspaces/${id}`)).text, /Connect Wiki|wiki\.example\.com/);
    const { csrf } = admin.form(`/workspaces/${id}/invite`);
    const refused = await admin.send(`/workspaces/${id}/connect`, { csrf: csrf!, api: few.id });
    t.is(refused.status, 403);
    const stranger = await enter(eve);
    await stranger.get(`/workspaces/${own}`);
    const form = stranger.form(`/workspaces/${own}/connect`);
    for (const target of [id, 'wsp_0', eve.id]) {
      const answer = await stranger.send(`/workspaces/${target}/connect`, { csrf: form.csrf!, api: few.id });
      t.is(answer.status, 404, target);
    }
    t.false((await toldTo(few)).includes(id));
  });

  test('an API that is unknown, is told of all, or understands no workspaces is refused on the page', async (t) => {
    const { on, person, workspace, api } = world;
    const plain = await addTreeApi(on, 'https://no.example.com', {
      understandsWorkspaces: false,
      hasAllWorkspaces: false,
    });
    const ann = await person('ann');
    const id = await workspace(ann);
    const browser = await enter(ann);
    for (const wrong of [api.id, plain.id, 'rs_0', '']) {
      await browser.get(`/workspaces/${id}`);
      const answer = await browser.post(`/workspaces/${id}/connect`, { api: wrong });
      t.is(answer.status, 400, wrong);
      t.regex(answer.text, /This API can’t be connected any more\./);
    }
    await changeResourceServer(on.service.deps, world.origin, plain.id, { understandsWorkspaces: true });
    await browser.get(`/workspaces/${id}`);
    t.is((await browser.post(`/workspaces/${id}/connect`, { api: plain.id })).status, 200);
  });
});
