import { repeatRevocations } from '../../src/domain/jobs/after-restore.ts';
import type { EventLine } from '../../src/domain/jobs/event-lines.ts';
import { isOpen } from '../../src/domain/workspaces/invitations.ts';
import { findInvitation } from '../../src/store/invitations.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** What ended in workspaces since a backup was made ends again after it was restored. */

onEveryEngine('workspaces after a restore', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  let lines = 0;
  /** Repeats lines as `vouchsafe events` writes them. */
  const repeat = (...events: Omit<EventLine, 'id'>[]) =>
    repeatRevocations(
      world.deps,
      world.origin,
      events.map((event) => ({ id: `evt_later${++lines}`, ...event })),
    );
  const isRevoked = async (key: string) =>
    (await world.deps.db.get<{ at: number | null }>('SELECT revoked_at AS at FROM credentials WHERE id = ?', [
      key,
    ]))!.at !== null;

  test('who left or was removed is out again, with what they gave', async (t) => {
    const { person, workspace, placeKey, membersOf } = world;
    const [ann, bob, carl] = [await person('ann'), await person('bob'), await person('carl')];
    const id = await workspace(ann, [
      [bob, 'admin'],
      [carl, 'admin'],
    ]);
    const keys = [await placeKey(id, bob), await placeKey(id, carl)];
    await repeat(
      { kind: 'member.left', workspace_id: id, account_id: bob.id },
      { kind: 'member.removed', workspace_id: id, account_id: carl.id, details: { actor: ann.id } },
      { kind: 'member.left', workspace_id: 'wsp_0', account_id: ann.id },
    );
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`]);
    for (const { key } of keys) t.true(await isRevoked(key));
  });

  test('an owner who handed a workspace over is its owner no more, and it has one', async (t) => {
    const { person, workspace, membersOf } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'member']]);
    const change = (account_id: string, to: string): Omit<EventLine, 'id'> => ({
      kind: 'member.role_changed',
      workspace_id: id,
      account_id,
      details: { to },
    });
    // The new owner joined after the backup: nobody else can be it.
    await repeat(change('usr_later', 'owner'), change(ann.id, 'admin'));
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`, `${bob.mailbox} member`]);
    await repeat(change(bob.id, 'owner'), change(ann.id, 'viewer'));
    t.deepEqual(await membersOf(id), [`${ann.mailbox} viewer`, `${bob.mailbox} owner`]);
  });

  test('an account deleted since is gone; its workspaces pass on, unless they were deleted, too', async (t) => {
    const { person, workspace, membersOf } = world;
    const [ann, bob, carl] = [await person('ann'), await person('bob'), await person('carl')];
    const kept = await workspace(ann, [
      [bob, 'viewer'],
      [carl, 'admin'],
    ]);
    const deleted = await workspace(ann, [[bob, 'viewer']]);
    await repeat(
      { kind: 'account.deleted', account_id: ann.id },
      { kind: 'workspace.deleted', workspace_id: deleted, account_id: ann.id },
    );
    t.deepEqual(await membersOf(kept), [`${bob.mailbox} viewer`, `${carl.mailbox} owner`]);
    t.deepEqual(await membersOf(deleted), []);
  });

  test('places that were taken back end; invitations that were withdrawn or declined are no more', async (t) => {
    const { deps, on, person, workspace, placeKey, invite } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'admin']]);
    const [anns, bobs] = [await placeKey(id, ann), await placeKey(id, bob)];
    const invitations = [
      await invite(id, ann, { mailbox: newMailbox() }),
      await invite(id, ann, { mailbox: newMailbox() }),
    ];
    const place = { kind: 'place.ended', workspace_id: id } as const;
    await repeat(
      { ...place, subject: anns.key, details: { places: 1, holders: 1, reason: 'node_gone' } },
      { ...place, account_id: bob.id, details: { places: 2, holders: 2, reason: 'revoked' } },
      { kind: 'invitation.withdrawn', workspace_id: id, subject: invitations[0]! },
      { kind: 'invitation.declined', workspace_id: id, subject: invitations[1]! },
    );
    t.deepEqual([await isRevoked(anns.key), await isRevoked(bobs.key)], [false, true]);
    await repeat({ ...place, subject: anns.key, details: { places: 1, holders: 1, reason: 'revoked' } });
    t.true(await isRevoked(anns.key));
    for (const each of invitations) {
      t.false(isOpen((await findInvitation(deps.db, each))!, on.clock()));
    }
  });

  test('a key that somebody ended in one workspace goes on in another', async (t) => {
    const { person, workspace, placeKey } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [[bob, 'admin']]);
    const { key } = await placeKey(id, bob);
    await placeKey(await workspace(bob), bob, key);
    const details = { places: 1, holders: 1, reason: 'revoked', actor: ann.id };
    await repeat({ kind: 'place.ended', workspace_id: id, account_id: bob.id, subject: key, details });
    t.false(await isRevoked(key));
    const left = await world.deps.db.all<{ id: string }>(
      'SELECT workspace_id AS id FROM places WHERE holder = ? AND ended_at IS NULL',
      [key],
    );
    t.is(left.length, 1);
    t.not(left[0]!.id, id);
  });
});
