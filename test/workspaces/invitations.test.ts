import { findOrCreateAccount } from '../../src/domain/accounts/find-or-create-account.ts';
import { setInvitationsAllowed } from '../../src/domain/accounts/mail-suppressions.ts';
import { useCase } from '../../src/domain/limits/use-case.ts';
import { deleteAccount } from '../../src/domain/owner/delete-account.ts';
import {
  acceptInvitation,
  declineInvitation,
  inviteToWorkspace,
  viewInvitation,
  withdrawInvitation,
} from '../../src/domain/workspaces/invitations.ts';
import { changeRole, removeMember } from '../../src/domain/workspaces/members.ts';
import { ROLES } from '../../src/domain/workspaces/roles.ts';
import { deleteWorkspace } from '../../src/domain/workspaces/workspaces.ts';
import { LOCALES } from '../../src/lib/translate.ts';
import { createRender } from '../../src/mail/render.ts';
import type { Role } from '../../src/store/members.ts';
import { newMailbox } from '../helpers/common.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { openWorkspaces, outcome, type Person, type Workspaces } from '../helpers/workspaces.ts';

onEveryEngine('invitations', (engine, test) => {
  let world: Workspaces;
  test.before(async () => {
    world = await openWorkspaces(engine);
  });
  test.after(() => world.stop());

  const accept = (who: Person, id: string) => acceptInvitation(world.deps, world.origin, who.id, id);
  const stateOf = async (id: string, who: Person) =>
    (await viewInvitation(world.deps, id, who.mailbox)).state;
  const invitationsTo = (mailbox: string) => world.on.invitations.filter(({ to }) => to === mailbox);

  test('an invitation is mailed with the name in quotes, the masked inviter and the role; its subject has no name', async (t) => {
    const { on, person, workspace, invite } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [], 'Evil.example — sign in at once');
    await invite(id, ann, bob, 'viewer');
    const mail = await on.invitationFor(bob.mailbox);
    t.like(mail, {
      invitedBy: `a***@example.com`,
      role: 'viewer',
      workspaceName: 'Evil.example — sign in at once',
    });
    t.false(JSON.stringify(mail).includes(ann.mailbox));
    t.regex(mail.pageUrl, /\/invitation\?t=inv_\w+\./);
    for (const locale of LOCALES) {
      const { subject, text } = createRender(on.service.deps.config)({ ...mail, locale });
      t.notRegex(subject, /Evil/, locale);
      t.regex(text, /[“„]Evil\.\s?example — sign in at once[”“]/, locale);
    }
  });

  test('only who has exactly the invited mailbox joins; others see the masked mailbox, and no name', async (t) => {
    const { deps, person, workspace, invite, membersOf, eventsOf } = world;
    const [ann, bob, eve] = [await person('ann'), await person('bob'), await person('eve')];
    const id = await workspace(ann);
    const invitation = await invite(id, ann, bob, 'member');
    t.deepEqual(await viewInvitation(deps, invitation, eve.mailbox), {
      state: 'foreign',
      mailbox: 'b***@example.com',
    });
    t.is(await outcome(accept(eve, invitation)), 'notFound');
    t.like(await viewInvitation(deps, invitation, bob.mailbox), {
      state: 'open',
      workspaceName: 'Atlas',
      invitedBy: 'a***@example.com',
      role: 'member',
    });
    t.is(await accept(bob, invitation), id);
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`, `${bob.mailbox} member`]);
    t.is(await outcome(accept(bob, invitation)), 'invitationVoid');
    t.is(await stateOf(invitation, bob), 'over');
    t.is((await eventsOf(id)).filter(({ kind }) => kind === 'member.joined').length, 1);
  });

  test('each role invites to the roles that it may give, and withdraws those invitations', async (t) => {
    const { deps, origin, person, workspace, invite } = world;
    const people: Record<Role, Person> = {
      owner: await person('owner'),
      admin: await person('admin'),
      member: await person('member'),
      viewer: await person('viewer'),
    };
    const id = await workspace(people.owner, [
      [people.admin, 'admin'],
      [people.member, 'member'],
      [people.viewer, 'viewer'],
    ]);
    const may = { owner: ROLES, admin: ['member', 'viewer'], member: [], viewer: [] } as const;
    for (const own of ROLES) {
      for (const role of ROLES) {
        const isAllowed = (may[own] as readonly string[]).includes(role);
        const invited = await outcome(
          inviteToWorkspace(deps, origin, people[own].id, id, { mailbox: newMailbox(), role }),
        );
        t.is(invited, isAllowed ? 'done' : 'forbidden', `${own} invites ${role}`);
        const other = await invite(id, people.owner, { mailbox: newMailbox() }, role);
        const withdrawn = await outcome(withdrawInvitation(deps, origin, people[own].id, id, other));
        t.is(withdrawn, isAllowed ? 'done' : 'forbidden', `${own} withdraws ${role}`);
      }
    }
    const eve = await person('eve');
    const foreign = await invite(await workspace(eve), eve, { mailbox: newMailbox() });
    for (const other of [foreign, 'inv_0']) {
      t.is(await outcome(withdrawInvitation(deps, origin, people.owner.id, id, other)), 'notFound');
    }
  });

  test('a new invitation replaces the open one of the mailbox; a withdrawn, expired or replaced one is void', async (t) => {
    const { on, deps, origin, person, workspace, invite, membersOf } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann);
    const first = await invite(id, ann, bob, 'viewer');
    const second = await invite(id, ann, bob, 'member');
    t.is(await outcome(accept(bob, first)), 'invitationVoid');
    await withdrawInvitation(deps, origin, ann.id, id, second);
    t.is(await outcome(accept(bob, second)), 'invitationVoid');
    t.is(await outcome(withdrawInvitation(deps, origin, ann.id, id, second)), 'notFound');
    const third = await invite(id, ann, bob);
    on.clock.advance(7 * 86_400 - 1);
    t.is(await stateOf(third, bob), 'open');
    on.clock.advance(1);
    t.is(await stateOf(third, bob), 'over');
    t.is(await outcome(accept(bob, third)), 'invitationVoid');
    t.is(await outcome(accept(bob, 'inv_0')), 'invitationVoid');
    const fourth = await invite(id, ann, bob);
    await deleteWorkspace(deps, origin, ann.id, id);
    t.is(await outcome(accept(bob, fourth)), 'invitationVoid');
    t.deepEqual(await membersOf(id), []);
  });

  test('an invitation is void once its inviter may not invite to its role any more, and stays so', async (t) => {
    const { deps, origin, person, workspace, invite, join, eventsOf } = world;
    const [ann, carl, bob] = [await person('ann'), await person('carl'), await person('bob')];
    const id = await workspace(ann, [[carl, 'admin']]);
    const invitation = await invite(id, carl, bob);
    await changeRole(deps, origin, ann.id, id, { memberId: carl.id, role: 'member', endsKeys: false });
    t.is(await outcome(accept(bob, invitation)), 'invitationVoid');
    t.deepEqual((await eventsOf(id)).at(-1), { kind: 'invitation.void', accountId: carl.id });
    await changeRole(deps, origin, ann.id, id, { memberId: carl.id, role: 'admin', endsKeys: false });
    t.is(await outcome(accept(bob, invitation)), 'invitationVoid');
    const next = await invite(id, carl, bob);
    await removeMember(deps, origin, ann.id, id, carl.id);
    t.is(await outcome(accept(bob, next)), 'invitationVoid');
    await join(id, ann, bob, 'member');
  });

  test('a mailbox whose account was deleted gains nothing by the link, nor does who has the mailbox afterwards (W-10)', async (t) => {
    const { deps, origin, person, workspace, invite, membersOf } = world;
    const [ann, bob] = [await person('ann'), await person('bob')];
    const id = await workspace(ann, [], 'Secret');
    const invitation = await invite(id, ann, bob);
    await deleteAccount(deps, origin, bob.id);
    t.is(await outcome(accept(bob, invitation)), 'signInRequired');
    // The same mailbox again is another account.
    const { id: next } = await useCase(deps, origin, {}, (work) => findOrCreateAccount(work, bob.mailbox));
    t.not(next, bob.id);
    t.is(await outcome(accept({ id: next, mailbox: bob.mailbox }, invitation)), 'notFound');
    t.false(JSON.stringify(await viewInvitation(deps, invitation, bob.mailbox)).includes('Secret'));
    t.deepEqual(await membersOf(id), [`${ann.mailbox} owner`]);
    const anew = await invite(id, ann, bob);
    t.is(await accept({ id: next, mailbox: bob.mailbox }, anew), id);
  });

  test('declining ends one; more of this workspace, or all, are not mailed then, and nobody is told', async (t) => {
    const { on, deps, origin, person, workspace, invite } = world;
    const [ann, bob, eve] = [await person('ann'), await person('bob'), await person('eve')];
    const [id, other] = [await workspace(ann), await workspace(eve)];
    const invitation = await invite(id, ann, bob);
    await on.invitationFor(bob.mailbox);
    t.true(await declineInvitation(deps, origin, invitation, 'ofWorkspace'));
    t.false(await declineInvitation(deps, origin, invitation, undefined));
    t.is(await outcome(accept(bob, invitation)), 'invitationVoid');

    const suppressed = await invite(id, ann, bob);
    t.is(await stateOf(suppressed, bob), 'open', 'it is there, for who looks');
    const second = await invite(other, eve, bob);
    await on.invitationFor(bob.mailbox, 2);
    await declineInvitation(deps, origin, second, 'all');
    await invite(other, eve, bob);
    const friend = await person('friend');
    await invite(other, eve, friend);
    await on.invitationFor(friend.mailbox);
    t.is(invitationsTo(bob.mailbox).length, 2);

    const session = { accountId: bob.id, mailbox: bob.mailbox } as Parameters<
      typeof setInvitationsAllowed
    >[2];
    await setInvitationsAllowed(deps, origin, session, true);
    await invite(id, ann, bob);
    await on.invitationFor(bob.mailbox, 3);
    t.is(invitationsTo(bob.mailbox).length, 3);
  });

  test('the answer is the same for a mailbox without an account, with one, and of a member, who gets no mail', async (t) => {
    const { on, deps, origin, person, workspace } = world;
    const [ann, bob, carl] = [await person('ann'), await person('bob'), await person('carl')];
    const id = await workspace(ann, [[carl, 'viewer']]);
    const already = invitationsTo(carl.mailbox).length;
    for (const mailbox of [newMailbox(), bob.mailbox, carl.mailbox, ann.mailbox]) {
      t.is(await inviteToWorkspace(deps, origin, ann.id, id, { mailbox, role: 'member' }), undefined);
    }
    await on.invitationFor(bob.mailbox);
    t.is(invitationsTo(carl.mailbox).length, already);
    t.is(invitationsTo(ann.mailbox).length, 0);
  });

  test('limits: per workspace, per account over all workspaces, of a new account, members, open ones', async (t) => {
    const narrow = await openWorkspaces(engine, {
      limits: {
        invitesPerWorkspace: '5/d',
        invitesPerAccount: '6/d',
        openInvitations: 4,
        membersPerWorkspace: 2,
      },
    });
    const { deps, origin, person, workspace, invite } = narrow;
    const to = async (by: Person, id: string, mailbox = newMailbox()) =>
      outcome(inviteToWorkspace(deps, origin, by.id, id, { mailbox, role: 'member' }));
    const ann = await person('ann');
    const [first, second, third] = [await workspace(ann), await workspace(ann), await workspace(ann)];
    const mailbox = newMailbox();
    for (let sent = 0; sent < 4; sent += 1) t.is(await to(ann, first), 'done');
    t.is(await to(ann, first), 'tooMany', 'four are open');
    t.is(await to(ann, second, mailbox), 'done');
    t.is(await to(ann, second, mailbox), 'done', 'it replaces its own');
    t.is(await to(ann, third), 'limited', 'six by one account, whatever the workspace');

    const young = await person('young', { isNew: true });
    const own = await workspace(young);
    for (let sent = 0; sent < 3; sent += 1) t.is(await to(young, own), 'done');
    t.is(await to(young, own), 'limited');
    narrow.on.clock.advance(86_400);
    t.is(await to(young, own), 'done');

    const [carl, dora, bob] = [await person('carl'), await person('dora'), await person('bob')];
    const full = await workspace(carl);
    const waiting = await invite(full, carl, dora);
    const one = await invite(full, carl, bob);
    t.is(await outcome(acceptInvitation(deps, origin, bob.id, one)), 'done');
    t.is(await outcome(acceptInvitation(deps, origin, dora.id, waiting)), 'tooMany');
    t.is(await to(carl, full), 'tooMany');
    await narrow.stop();
  });
});
