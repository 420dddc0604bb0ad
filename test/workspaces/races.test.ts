import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import {
  acceptInvitation,
  declineInvitation,
  withdrawInvitation,
} from '../../src/domain/workspaces/invitations.ts';
import { changeRole, leaveWorkspace, removeMember } from '../../src/domain/workspaces/members.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { atOnce } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, outcome, type Workspaces } from '../helpers/workspaces.ts';

const PAIRS = 40;

onEveryEngine('members at once', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  // No workspace without an owner, nothing live in an ended one: the oracle looks.
  test.after(() => world.stop());

  const twoOwners = async () => {
    const [ann, bob] = [await world.person('ann'), await world.person('bob')];
    return { ann, bob, id: await world.workspace(ann, [[bob, 'owner']]) };
  };
  const count = (outcomes: readonly string[]) => [...outcomes].sort().join(' ');

  test(`of the last two owners who leave at once, exactly one leaves, ${PAIRS} times`, async (t) => {
    const { deps, origin } = world;
    const pairs = await Promise.all(Array.from({ length: PAIRS }, twoOwners));
    const results = await Promise.all(
      pairs.map(({ ann, bob, id }) =>
        Promise.all([
          outcome(leaveWorkspace(deps, origin, ann.id, id)),
          outcome(leaveWorkspace(deps, origin, bob.id, id)),
        ]),
      ),
    );
    t.deepEqual(new Set(results.map(count)), new Set(['done lastOwner']));
  });

  test(`of the last two owners who demote each other at once, one stays, ${PAIRS} times`, async (t) => {
    const { deps, origin, membersOf } = world;
    const pairs = await Promise.all(Array.from({ length: PAIRS }, twoOwners));
    await Promise.all(
      pairs.map(async ({ ann, bob, id }) => {
        const demote = (by: string, memberId: string) =>
          outcome(changeRole(deps, origin, by, id, { memberId, role: 'viewer', endsKeys: false }));
        const outcomes = await Promise.all([demote(ann.id, bob.id), demote(bob.id, ann.id)]);
        t.is(count(outcomes), 'done forbidden');
        t.is((await membersOf(id)).filter((member) => member.endsWith(' owner')).length, 1);
      }),
    );
  });

  test(`of two owners who remove each other at once, one stays, ${PAIRS} times`, async (t) => {
    const { deps, origin, membersOf } = world;
    const pairs = await Promise.all(Array.from({ length: PAIRS }, twoOwners));
    await Promise.all(
      pairs.map(async ({ ann, bob, id }) => {
        const outcomes = await Promise.all([
          outcome(removeMember(deps, origin, ann.id, id, bob.id)),
          outcome(removeMember(deps, origin, bob.id, id, ann.id)),
        ]);
        t.is(count(outcomes), 'done notFound');
        t.is((await membersOf(id)).length, 1);
      }),
    );
  });

  test('an invitation that is accepted 8 times at once makes one member, one event and one mail', async (t) => {
    const { on, deps, origin, person, workspace, invite, eventsOf } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann);
    const invitation = await invite(id, ann, bob);
    const outcomes = await atOnce(8, () => outcome(acceptInvitation(deps, origin, bob.id, invitation)));
    t.deepEqual(outcomes.filter((each) => each === 'done').length, 1);
    t.deepEqual([...new Set(outcomes)].sort(), ['done', 'invitationVoid']);
    t.is((await eventsOf(id)).filter(({ kind }) => kind === 'member.joined').length, 1);
    const notices = await deps.db.all('SELECT id FROM outbox WHERE kind = ? AND attempt_id = ?', [
      'notice',
      bob.id,
    ]);
    t.is(notices.length, 1);
    on.service.deps.wakeOutbox();
  });

  test('an invitation that is accepted, withdrawn and declined at once ends in one of these ways', async (t) => {
    const { deps, origin, person, workspace, invite, membersOf, eventsOf } = world;
    for (let round = 0; round < PAIRS; round += 1) {
      const [ann, bob] = [await person('ann'), await person('bob')];
      const id = await workspace(ann);
      const invitation = await invite(id, ann, bob);
      const [accepted, withdrawn, declined] = await Promise.all([
        outcome(acceptInvitation(deps, origin, bob.id, invitation)),
        outcome(withdrawInvitation(deps, origin, ann.id, id, invitation)),
        declineInvitation(deps, origin, invitation, undefined),
      ]);
      t.is([accepted === 'done', withdrawn === 'done', declined].filter(Boolean).length, 1);
      t.is((await membersOf(id)).length, accepted === 'done' ? 2 : 1);
      const ends = ['member.joined', 'invitation.withdrawn', 'invitation.declined'];
      t.is((await eventsOf(id)).filter(({ kind }) => ends.includes(kind)).length, 1);
    }
  });

  test('a workspace that is deleted while somebody joins, and others leave, has nobody in it', async (t) => {
    const { deps, origin, person, invite, membersOf } = world;
    for (let round = 0; round < 10; round += 1) {
      const { ann, bob, id } = await twoOwners();
      const carl = await person('carl');
      const invitation = await invite(id, ann, carl);
      await Promise.all([
        deleteWorkspace(deps, origin, ann.id, id),
        outcome(acceptInvitation(deps, origin, carl.id, invitation)),
        outcome(leaveWorkspace(deps, origin, bob.id, id)),
      ]);
      t.deepEqual(await membersOf(id), []);
    }
  });

  test(`an account deleted while another member is made owner, or leaves, leaves no workspace without an owner, ${PAIRS} times`, async (t) => {
    const { deps, origin, person, workspace, membersOf } = world;
    const rounds = await Promise.all(
      Array.from({ length: PAIRS }, async () => {
        const [ann, bob] = [await person('ann'), await person('bob')];
        return { ann, bob, id: await workspace(ann, [[bob, 'member']]) };
      }),
    );
    await Promise.all(
      rounds.map(async ({ ann, bob, id }, round) => {
        const [deleted] = await Promise.all([
          outcome(deleteAccount(deps, origin, ann.id)),
          outcome(
            round % 2 === 0
              ? changeRole(deps, origin, ann.id, id, { memberId: bob.id, role: 'owner', endsKeys: false })
              : leaveWorkspace(deps, origin, bob.id, id),
          ),
        ]);
        const members = await membersOf(id);
        t.true(members.length === 0 || members.some((member) => member.endsWith(' owner')), members.join());
        t.true(['done', 'lastOwner'].includes(deleted), deleted);
      }),
    );
  });

  test('an account deleted while it joins a workspace is in none', async (t) => {
    const { deps, origin, person, workspace, invite, membersOf } = world;
    for (let round = 0; round < 10; round += 1) {
      const [ann, bob] = [await person('ann'), await person('bob')];
      const id = await workspace(ann);
      const invitation = await invite(id, ann, bob);
      await Promise.all([
        deleteAccount(deps, origin, bob.id),
        outcome(acceptInvitation(deps, origin, bob.id, invitation)),
      ]);
      t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`]);
    }
  });
});
