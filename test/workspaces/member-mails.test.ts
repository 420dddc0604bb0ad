import {
  changeRole,
  leaveWorkspace,
  removeMember,
  transferWorkspace,
} from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace, renameWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, type Workspaces } from '../helpers/workspaces.ts';

/** Whom mails tell what of the members of a workspace: who it happened to, of a new owner and of the end all owners, nobody else. */

onEveryEngine('mails about members', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  test('who joined, got another role or was removed is mailed; of a new owner and of the end all owners are', async (t) => {
    const { deps, origin, person, workspace, join, watchMails } = world;
    const [ann, ben, bob, eve] = [
      await person('ann'),
      await person('ben'),
      await person('bob'),
      await person('eve'),
    ];
    const id = await workspace(ann, [
      [ben, 'owner'],
      [eve, 'viewer'],
    ]);
    const role = (memberId: string, to: 'owner' | 'member') =>
      changeRole(deps, origin, ann.id, id, { memberId, role: to, endsKeys: false });
    const steps: [act: () => Promise<unknown>, ann: string[], ben: string[], bob: string[], eve: string[]][] =
      [
        [() => join(id, ann, bob, 'member'), [], [], ['member.joined'], []],
        [() => role(eve.id, 'member'), [], [], [], ['member.role_changed']],
        [() => renameWorkspace(deps, origin, ann.id, id, 'Other'), [], [], [], []],
        [
          () => role(bob.id, 'owner'),
          ['member.role_changed'],
          ['member.role_changed'],
          ['member.role_changed'],
          [],
        ],
        // The new owner and both others; then who became an admin.
        [
          () => transferWorkspace(deps, origin, ann.id, id, eve.id),
          ['member.role_changed', 'member.role_changed'],
          ['member.role_changed'],
          ['member.role_changed'],
          ['member.role_changed'],
        ],
        [() => leaveWorkspace(deps, origin, ben.id, id), [], [], [], []],
        [() => removeMember(deps, origin, eve.id, id, bob.id), [], [], ['member.removed'], []],
        [() => deleteWorkspace(deps, origin, eve.id, id), [], [], [], ['workspace.deleted']],
      ];
    for (const [act, ...expected] of steps) {
      const told = await watchMails(ann, ben, bob, eve);
      await act();
      const kinds = (await told()).map((entries) => entries.map(({ kind }) => kind));
      t.deepEqual(kinds, expected, act.toString());
    }
  });
});
