import { useCase } from '../../src/domain/limits/use-case.ts';
import {
  changeRole,
  leaveWorkspace,
  removeMember,
  transferWorkspace,
} from '../../src/domain/workspaces/members.ts';
import { ROLES } from '../../src/domain/workspaces/roles.ts';
import {
  createWorkspace,
  deleteWorkspace,
  listWorkspacesOf,
  lockWorkspaceAs,
  renameWorkspace,
  requireMember,
} from '../../src/domain/workspaces/workspaces.ts';
import type { Role } from '../../src/store/members.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, outcome, type Person, type Workspaces } from '../helpers/workspaces.ts';

onEveryEngine('members of a workspace', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  /** A workspace with one member in each role. */
  async function team() {
    const { person, workspace } = world;
    const people: Record<Role, Person> = {
      owner: await person('owner'),
      admin: await person('admin'),
      member: await person('member'),
      viewer: await person('viewer'),
    };
    const { owner, ...others } = people;
    const id = await workspace(
      owner,
      Object.entries(others).map(([role, who]) => [who, role as Role] as const),
    );
    return { id, ...people };
  }

  const livePlaces = async (holder: string) =>
    (await world.deps.db.all('SELECT id FROM places WHERE holder = ? AND ended_at IS NULL', [holder])).length;
  const isRevoked = async (key: string) =>
    (await world.deps.db.get<{ at: number | null }>('SELECT revoked_at AS at FROM credentials WHERE id = ?', [
      key,
    ]))!.at !== null;

  test('an account that creates a workspace is its owner; unknown, ended and foreign ones are alike to others', async (t) => {
    const { deps, origin, person, workspace, membersOf, eventsOf } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann);
    const ended = await workspace(bob);
    await deleteWorkspace(deps, origin, bob.id, ended);
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`]);
    t.deepEqual(await eventsOf(id), [{ kind: 'workspace.created', accountId: ann.id }]);
    t.like(await requireMember(deps.db, id, ann.id), { name: 'Atlas', role: 'owner', workspaceId: id });
    for (const [about, workspaceId] of Object.entries({ id, ended, unknown: 'wsp_0', personal: bob.id })) {
      t.is(await outcome(requireMember(deps.db, workspaceId, bob.id)), 'notFound', about);
      for (const act of [
        renameWorkspace(deps, origin, bob.id, workspaceId, 'Mine'),
        deleteWorkspace(deps, origin, bob.id, workspaceId),
        leaveWorkspace(deps, origin, bob.id, workspaceId),
        removeMember(deps, origin, bob.id, workspaceId, ann.id),
        changeRole(deps, origin, bob.id, workspaceId, { memberId: bob.id, role: 'owner', endsKeys: false }),
        transferWorkspace(deps, origin, bob.id, workspaceId, bob.id),
      ]) {
        t.is(await outcome(act), 'notFound', about);
      }
    }
    t.deepEqual(await listWorkspacesOf(deps, bob.id), []);
  });

  test('each role does what the table of roles says, and nothing else', async (t) => {
    const { deps, origin, person, join, membersOf } = world;
    const { id, ...people } = await team();
    const others = { owner: ROLES, admin: ['member', 'viewer'], member: [], viewer: [] } as const;
    for (const own of ROLES) {
      const may: readonly string[] = others[own];
      const actor = people[own].id;
      for (const role of ROLES) {
        const other = await person();
        await join(id, people.owner, other, role);
        const isManaged = may.includes(role);
        for (const next of ROLES.filter((each) => each !== role)) {
          const change = () =>
            changeRole(deps, origin, actor, id, { memberId: other.id, role: next, endsKeys: false });
          const isAllowed = isManaged && may.includes(next);
          t.is(await outcome(change()), isAllowed ? 'done' : 'forbidden', `${own}: ${role} to ${next}`);
          if (isAllowed) {
            await changeRole(deps, origin, people.owner.id, id, {
              memberId: other.id,
              role,
              endsKeys: false,
            });
          }
        }
        const removed = await outcome(removeMember(deps, origin, actor, id, other.id));
        t.is(removed, isManaged ? 'done' : 'forbidden', `${own} removes ${role}`);
        if (!isManaged) await removeMember(deps, origin, people.owner.id, id, other.id);
      }
      const mayRename = own === 'owner' || own === 'admin';
      const renamed = await outcome(renameWorkspace(deps, origin, actor, id, `By ${own}`));
      t.is(renamed, mayRename ? 'done' : 'forbidden', own);
      if (own !== 'owner') {
        t.is(await outcome(deleteWorkspace(deps, origin, actor, id)), 'forbidden', own);
        t.is(await outcome(transferWorkspace(deps, origin, actor, id, people.viewer.id)), 'forbidden', own);
      }
    }
    t.deepEqual(
      await membersOf(id),
      ROLES.map((role) => `${people[role].mailbox} ${role}`),
    );
    t.is((await requireMember(deps.db, id, people.viewer.id)).name, 'By admin');
  });

  test('the last owner cannot leave, be demoted or be removed, until somebody else is an owner', async (t) => {
    const { deps, origin, membersOf } = world;
    const { id, owner, admin } = await team();
    const demote = () =>
      changeRole(deps, origin, owner.id, id, { memberId: owner.id, role: 'admin', endsKeys: false });
    t.is(await outcome(leaveWorkspace(deps, origin, owner.id, id)), 'lastOwner');
    t.is(await outcome(demote()), 'lastOwner');
    t.is(await outcome(removeMember(deps, origin, owner.id, id, owner.id)), 'forbidden');
    await changeRole(deps, origin, owner.id, id, { memberId: admin.id, role: 'owner', endsKeys: false });
    t.is(await outcome(leaveWorkspace(deps, origin, owner.id, id)), 'done');
    t.is(await outcome(leaveWorkspace(deps, origin, admin.id, id)), 'lastOwner');
    t.is((await membersOf(id))[0], `${admin.mailbox} owner`);
  });

  test('a transfer makes the other member the owner, and oneself an admin, in one transaction', async (t) => {
    const { deps, origin, membersOf } = world;
    const { id, owner, viewer, member } = await team();
    t.is(await outcome(transferWorkspace(deps, origin, owner.id, id, owner.id)), 'forbidden');
    t.is(await outcome(transferWorkspace(deps, origin, owner.id, id, 'usr_0')), 'notFound');
    await transferWorkspace(deps, origin, owner.id, id, viewer.id);
    const members = await membersOf(id);
    t.true(members.includes(`${viewer.mailbox} owner`));
    t.true(members.includes(`${owner.mailbox} admin`));
    t.is(await outcome(transferWorkspace(deps, origin, owner.id, id, member.id)), 'forbidden');
  });

  test('leaving, being removed: what one gave there ends, a key without another place is revoked, and nothing comes back', async (t) => {
    const { deps, origin, placeKey, workspace, join, eventsOf } = world;
    const { id, owner, admin, member } = await team();
    const elsewhere = await workspace(admin);
    const only = await placeKey(id, admin);
    const both = await placeKey(id, admin, `key_both${id.slice(4)}`);
    await placeKey(elsewhere, admin, both.key);
    const kept = await placeKey(id, owner);
    await leaveWorkspace(deps, origin, admin.id, id);
    t.deepEqual([await livePlaces(only.key), await isRevoked(only.key)], [0, true]);
    t.deepEqual([await livePlaces(both.key), await isRevoked(both.key)], [1, false]);
    t.deepEqual([await livePlaces(kept.key), await isRevoked(kept.key)], [1, false]);
    await join(id, owner, admin, 'admin');
    t.deepEqual([await livePlaces(only.key), await isRevoked(only.key)], [0, true]);

    const removed = await placeKey(id, member);
    await removeMember(deps, origin, owner.id, id, member.id);
    t.deepEqual([await livePlaces(removed.key), await isRevoked(removed.key)], [0, true]);
    const reasons = await deps.db.all<{ reason: string }>(
      'SELECT end_reason AS reason FROM places WHERE workspace_id = ? AND ended_at IS NOT NULL ORDER BY id',
      [id],
    );
    t.deepEqual(new Set(reasons.map(({ reason }) => reason)), new Set(['member_left', 'member_removed']));
    const kinds = (await eventsOf(id)).map(({ kind }) => kind);
    t.is(kinds.filter((kind) => kind === 'place.ended').length, 2);
  });

  test('losing the role that makes keys leaves them, unless the box says that they end', async (t) => {
    const { deps, origin, placeKey } = world;
    const { id, owner, admin } = await team();
    const { key } = await placeKey(id, admin);
    const to = (role: Role, endsKeys: boolean) =>
      changeRole(deps, origin, owner.id, id, { memberId: admin.id, role, endsKeys });
    await to('viewer', false);
    t.deepEqual([await livePlaces(key), await isRevoked(key)], [1, false]);
    await to('admin', false);
    await to('member', true);
    t.deepEqual([await livePlaces(key), await isRevoked(key)], [0, true]);
  });

  test('a deleted workspace ends all that is in it, for everybody, without an undo', async (t) => {
    const { deps, origin, placeKey, invite, person, eventsOf } = world;
    const { id, owner, admin } = await team();
    const { key } = await placeKey(id, admin);
    await invite(id, owner, await person());
    await deps.db.tx((tx) =>
      tx.run(
        `INSERT INTO nodes (id, resource, workspace_id, external_id, kind, name, created_at, changed_at)
         VALUES (?, 'https://api.example.com', ?, 'prj', 'project', 'Launch', 1, 1)`,
        [`nod_${id.slice(4)}`, id],
      ),
    );
    await deleteWorkspace(deps, origin, owner.id, id);
    t.deepEqual([await livePlaces(key), await isRevoked(key)], [0, true]);
    t.is(await outcome(deleteWorkspace(deps, origin, owner.id, id)), 'notFound');
    const last = (await eventsOf(id)).at(-1);
    t.deepEqual(last, { kind: 'workspace.deleted', accountId: owner.id });
    const locked = useCase(deps, origin, {}, (work) => lockWorkspaceAs(work, id, owner.id));
    t.is(await outcome(locked), 'notFound');
  });

  test('an account owns so many workspaces, and creates so many a day', async (t) => {
    const narrow = await openWorkspaces(engine, {
      limits: { workspacesOwned: 2, workspacesPerAccount: '3/d' },
    });
    const { deps, origin, person } = narrow;
    const ann = await person('ann');
    const create = () => createWorkspace(deps, origin, ann.id, 'Atlas');
    const first = await create();
    await create();
    t.is(await outcome(create()), 'tooMany');
    await deleteWorkspace(deps, origin, ann.id, first);
    await deleteWorkspace(deps, origin, ann.id, await create());
    t.is(await outcome(create()), 'limited');
    await narrow.stop();
  });

  test('where no API understands workspaces, nobody creates one, but members go on', async (t) => {
    const other = await openWorkspaces(engine);
    const { deps, origin, person, workspace } = other;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann);
    await deps.db.tx((tx) => tx.run('UPDATE resource_servers SET workspaces = 0'));
    t.is(await outcome(createWorkspace(deps, origin, bob.id, 'Mine')), 'notFound');
    t.is(await outcome(renameWorkspace(deps, origin, ann.id, id, 'Still here')), 'done');
    await other.stop();
  });
});
