import { newMailbox } from '../helpers/common.ts';
import { signIn } from '../helpers/human.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { insertPlaceFor, openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** What a person reads of workspaces in the export of their account, and in their activity. */

onEveryEngine('workspaces of an account', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  test('are exported: memberships, invitations sent and received, places given; none of other people', async (t) => {
    const { on, api, deps, person, workspace, invite, join } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const own = await workspace(ann, [], 'Atlas');
    const other = await workspace(bob, [], 'Beacon');
    await join(other, bob, ann, 'viewer');
    const guest = { mailbox: newMailbox('guest') };
    const sent = await invite(own, ann, guest, 'member');
    const third = await invite(own, ann, bob, 'admin');
    const told = await on.request('PUT', '/resource/nodes', {
      headers: {
        Authorization: `Basic ${Buffer.from(`${api.id}:${api.secret}`).toString('base64')}`,
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({
        workspace: own,
        upsert: [{ id: 'fld_specs', kind: 'folder', name: 'Specs' }],
      }),
    });
    t.is(told.status, 200, told.text);
    const node = await deps.db.get<{ id: string }>('SELECT id FROM nodes WHERE workspace_id = ?', [own]);
    const place = { holder: 'key_1', workspaceId: own, grantedBy: ann.id };
    const onNode = await insertPlaceFor(on, { ...place, resource: api.url, nodeId: node!.id, types: 'doc' });
    const onPath = await insertPlaceFor(on, { ...place, path: 'drafts/', actions: 'read write' });
    await insertPlaceFor(on, { ...place, workspaceId: other, grantedBy: bob.id });

    const browser = await signIn(on, ann.mailbox, { next: '/account' });
    const exported = JSON.parse((await browser.get('/account/export')).text).workspaces;
    t.deepEqual(
      exported.memberships.map((each: Record<string, unknown>) => [each.workspace, each.name, each.role]),
      [
        [own, 'Atlas', 'owner'],
        [other, 'Beacon', 'viewer'],
      ],
    );
    t.deepEqual(
      exported.invitations_sent.map((each: Record<string, unknown>) => [each.id, each.to, each.role]),
      [
        [sent, guest.mailbox, 'member'],
        [third, bob.mailbox, 'admin'],
      ],
    );
    const [received, ...more] = exported.invitations_received;
    t.deepEqual([received.workspace, received.role, more.length], [other, 'viewer', 0]);
    t.regex(received.accepted_at, /^\d{4}-/);
    t.deepEqual(
      exported.places.map(({ given_at: _, ...each }: Record<string, unknown>) => each),
      [
        {
          id: onNode,
          holder: 'key_1',
          workspace: own,
          resource: api.url,
          node: { id: 'fld_specs', name: 'Specs' },
          types: ['doc'],
          actions: ['read'],
        },
        { id: onPath, holder: 'key_1', workspace: own, path: 'drafts/', actions: ['read', 'write'] },
      ],
    );
    await deps.db.tx((tx) => tx.run(`DELETE FROM places WHERE holder = 'key_1'`));

    const stranger = await signIn(on, newMailbox(), { next: '/account' });
    t.false('workspaces' in JSON.parse((await stranger.get('/account/export')).text));
  });

  test('are a kind of activity, among which nothing else is', async (t) => {
    const { on, person, workspace } = world;
    const ann = await person('ann');
    await workspace(ann, [], 'Northwind');
    const browser = await signIn(on, ann.mailbox, { next: '/account' });
    const page = await browser.get('/account/activity?kind=workspaces');
    t.regex(page.text, /<option value="workspaces" selected>Workspaces<\/option>/);
    t.regex(page.text, /You created the workspace <bdi>Northwind</);
    t.notRegex(page.text, /You signed in/);
  });
});
