import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import {
  formatNumberMark,
  type ListMark,
  type ListPage,
  parseNumberMark,
  readPage,
} from '../../lib/list-pages.ts';
import { findAccount, lockAccount } from '../../store/accounts.ts';
import {
  countMembers,
  findMember,
  type ListedMember,
  listMemberPage,
  listMembers,
  listOwnerIds,
  type MemberRow,
  updateMemberEnded,
  updateMemberRole,
} from '../../store/members.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { endPlacesOfGranter } from './places.ts';
import { listGrantableRoles, type Role } from './roles.ts';
import { lockWorkspaceAs, requireMember, roleForbids } from './workspaces.ts';

/** The members of a workspace, and how they leave. Nobody leaves a workspace without an owner. */

/** Lists a page of the members of a workspace; those who joined first are first. */
export function listMembersOf(
  { db }: Pick<Deps, 'db'>,
  workspaceId: string,
  at?: ListMark,
): Promise<ListPage<ListedMember>> {
  return readPage(
    parseNumberMark(at),
    undefined,
    (place, limit) => listMemberPage(db, workspaceId, place, limit),
    (member) => formatNumberMark(member.joinedAt, member.accountId),
  );
}

/** Counts the members of a workspace. */
export function countMembersOf({ db }: Pick<Deps, 'db'>, workspaceId: string): Promise<number> {
  return countMembers(db, workspaceId);
}

/** Counts the owners of a workspace. */
export async function countOwnersOf({ db }: Pick<Deps, 'db'>, workspaceId: string): Promise<number> {
  return (await listOwnerIds(db, workspaceId)).length;
}

/** Lists all members of a workspace; those who joined first are first. */
export function listAllMembersOf({ db }: Pick<Deps, 'db'>, workspaceId: string): Promise<ListedMember[]> {
  return listMembers(db, workspaceId);
}

/**
 * Finds a member whom another one may manage: give another role, or remove.
 *
 * @returns the roles that it can be given
 * @throws Failure `notFound`, also for somebody who is no member; `forbidden` if the role does not allow it
 */
export async function findManagedMember(
  { db }: Pick<Deps, 'db'>,
  workspaceId: string,
  accountId: string,
  memberId: string,
): Promise<{ member: ListedMember; roles: readonly Role[] }> {
  const { role } = await requireMember(db, workspaceId, accountId);
  const member = await findMember(db, workspaceId, memberId);
  if (member === undefined) throw memberNotFound();
  const roles = assertManages(role, member.role);
  const account = await findAccount(db, memberId);
  const { mailbox = null, name: accountName = null } = account ?? {};
  return { member: { ...member, mailbox, accountName }, roles };
}

/**
 * Gives a member another role. What it may do shrinks at the next question of an API; its keys stay.
 *
 * @param endsKeys also ends what the member gave in the workspace: its keys, agents and apps there
 * @throws Failure `notFound`; `forbidden` beyond what one's own role gives; `lastOwner`
 */
export async function changeRole(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  { memberId, role, endsKeys }: { memberId: string; role: Role; endsKeys: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { member, own } = await lockMember(work, workspaceId, accountId, memberId);
    if (!assertManages(own, member.role).includes(role)) throw roleForbids();
    if (member.role === role) return;
    await setRole(work, member, role, accountId);
    if (endsKeys) await endPlacesOfGranter(work, workspaceId, memberId, 'revoked');
  });
}

/**
 * Hands a workspace over: another member becomes its owner, oneself an admin.
 *
 * @throws Failure `notFound`; `forbidden` for all but owners, and to oneself
 */
export async function transferWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  memberId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { member, own } = await lockMember(work, workspaceId, accountId, memberId);
    if (own !== 'owner' || memberId === accountId) throw roleForbids();
    if (member.role !== 'owner') await setRole(work, member, 'owner', accountId);
    await setRole(work, { ...member, accountId, role: 'owner' }, 'admin', accountId);
  });
}

/**
 * Leaves a workspace. All that the account gave there ends: keys, agents, apps.
 *
 * @throws Failure `notFound`; `lastOwner`
 */
export async function leaveWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    await lockWorkspaceAs(work, workspaceId, accountId);
    await endMembership(work, workspaceId, accountId, 'member_left');
    await recordEvent(work, { kind: 'member.left', accountId, workspaceId });
  });
}

/**
 * Removes a member, as leaving does, and mails them.
 *
 * @throws Failure `notFound`; `forbidden` beyond what one's own role takes away, and for oneself; `lastOwner`
 */
export async function removeMember(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  memberId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { member, own } = await lockMember(work, workspaceId, accountId, memberId);
    assertManages(own, member.role);
    if (memberId === accountId) throw roleForbids();
    // Accounts are locked before places, and the member is mailed.
    await lockAccount(work.tx, memberId);
    await endMembership(work, workspaceId, memberId, 'member_removed');
    await recordAndNotify(work, memberId, {
      kind: 'member.removed',
      workspaceId,
      details: { role: member.role, actor: accountId },
    });
  });
}

/** Ends a membership and all that the member gave in the workspace, in the transaction that locked it. */
export async function endMembership(
  work: Work,
  workspaceId: string,
  accountId: string,
  reason: 'member_left' | 'member_removed' | 'account_deleted',
): Promise<void> {
  if ((await updateMemberEnded(work.tx, workspaceId, accountId, work.now)) !== 1) throw lastOwner();
  await endPlacesOfGranter(work, workspaceId, accountId, reason);
}

/** Sets a role and tells the member; of a new owner, the other owners too. @param actor undefined: nobody in it */
export async function setRole(
  work: Work,
  { workspaceId, accountId, role: from }: MemberRow,
  to: Role,
  actor: string | undefined,
): Promise<void> {
  if ((await updateMemberRole(work.tx, { workspaceId, accountId, role: to })) !== 1) throw lastOwner();
  const others = to === 'owner' ? await listOwnerIds(work.tx, workspaceId) : [];
  await recordAndNotify(
    work,
    accountId,
    {
      kind: 'member.role_changed',
      workspaceId,
      details: { from, to, ...(actor !== undefined && { actor }) },
    },
    others,
  );
}

/** Locks a workspace for a member who acts, and finds the one whom that is about. */
async function lockMember(
  work: Work,
  workspaceId: string,
  accountId: string,
  memberId: string,
): Promise<{ member: MemberRow; own: Role }> {
  const { role: own } = await lockWorkspaceAs(work, workspaceId, accountId);
  const member = await findMember(work.tx, workspaceId, memberId);
  if (member === undefined) throw memberNotFound();
  return { member, own };
}

/** Returns the roles that a role may give to a member of another; @throws Failure `forbidden` if it may not change that */
function assertManages(own: Role, role: Role): readonly Role[] {
  const roles = listGrantableRoles(own);
  if (!roles.includes(role)) throw roleForbids();
  return roles;
}

/** Creates the failure for the last owner, who cannot go. */
export function lastOwner(): Failure {
  return new Failure(
    'lastOwner',
    'It would have no owner. Make somebody else an owner first, or delete the workspace.',
    { hint: 'workspace.problem.lastOwner' },
  );
}

function memberNotFound(): Failure {
  return new Failure('notFound', 'There is no such member.');
}
