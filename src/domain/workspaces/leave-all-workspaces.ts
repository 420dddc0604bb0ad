import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import {
  countMembers,
  findMember,
  findMembership,
  listMembers,
  listMemberships,
  listOwnerIds,
  type MembershipRow,
} from '../../store/members.ts';
import { listWorkspacesOfAppKeys, updateAppKeysAccount } from '../../store/workspace-keys.ts';
import { lockWorkspace } from '../../store/workspaces.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { endMembership, lastOwner, setRole } from './members.ts';
import { ROLES } from './roles.ts';
import { endWorkspace } from './workspaces.ts';

/** How an account that is deleted leaves its workspaces. */

/**
 * What becomes of workspaces whose last owner is deleted, while they have other members. `passOn`: the member with the
 * widest role, of several who joined first, owns them.
 */
export type Succession = 'refuse' | 'delete' | 'passOn' | { to: string };

/**
 * Lists the workspaces whose last owner an account is while they have other members: those stand in the way of its
 * deletion (W-08).
 */
export async function listWorkspacesHeldAlone(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
): Promise<MembershipRow[]> {
  const held: MembershipRow[] = [];
  for (const membership of await listMemberships(db, accountId)) {
    if ((await stateOf(db, membership)) === 'heldAlone') held.push(membership);
  }
  return held;
}

/**
 * Locks the workspaces of an account that is about to be deleted, and those where it answers for keys of things, in the order of
 * their ids and before the account.
 */
export async function lockWorkspacesOf({ tx }: Work, accountId: string): Promise<void> {
  const memberships = (await listMemberships(tx, accountId)).map(({ workspaceId }) => workspaceId);
  const ids = new Set([...memberships, ...(await listWorkspacesOfAppKeys(tx, accountId))]);
  for (const id of [...ids].sort()) await lockWorkspace(tx, id);
}

/**
 * Takes an account that is deleted out of all its workspaces, after lockWorkspacesOf() and locking the account. Those
 * without another member are deleted. For the keys of things that it made an owner of their workspace answers from now on.
 *
 * @throws Failure `lastOwner` if it is the last owner of one with other members, and `succession` refuses that;
 * `badRequest` if the one who should succeed is no member of it
 */
export async function leaveAllWorkspaces(
  work: Work,
  accountId: string,
  succession: Succession,
): Promise<void> {
  const { tx } = work;
  const memberships = await listMemberships(tx, accountId);
  for (const membership of memberships.toSorted((a, b) => (a.workspaceId < b.workspaceId ? -1 : 1))) {
    const { workspaceId } = membership;
    // Again, for one that the account joined in between: locked already, this changes nothing.
    if ((await lockWorkspace(tx, workspaceId)) === undefined) continue;
    const state = await stateOf(tx, membership);
    if (state === 'alone' || (state === 'heldAlone' && succession === 'delete')) {
      await endWorkspace(work, workspaceId, { accountId, details: { by: 'account' } });
      continue;
    }
    if (state === 'heldAlone') await succeed(work, membership, succession);
    await endMembership(work, workspaceId, accountId, 'account_deleted');
    await recordEvent(work, { kind: 'member.left', accountId, workspaceId, details: { by: 'account' } });
  }
  for (const workspaceId of await listWorkspacesOfAppKeys(tx, accountId)) {
    const [to] = await listOwnerIds(tx, workspaceId);
    if (to !== undefined) await updateAppKeysAccount(tx, workspaceId, { from: accountId, to });
  }
}

/** Takes an account out of a workspace that the caller locked. If it is its last owner, the next member owns it. */
export async function leaveToNext(
  work: Work,
  { workspaceId, accountId }: Pick<MembershipRow, 'workspaceId' | 'accountId'>,
  reason: 'member_left' | 'member_removed',
): Promise<void> {
  const membership = await findMembership(work.tx, workspaceId, accountId);
  if (membership === undefined) return;
  const state = await stateOf(work.tx, membership);
  if (state === 'alone') return endWorkspace(work, workspaceId, { accountId, details: { by: 'replay' } });
  if (state === 'heldAlone') await succeed(work, membership, 'passOn');
  await endMembership(work, workspaceId, accountId, reason);
  await recordEvent(work, { kind: 'member.left', accountId, workspaceId, details: { by: 'replay' } });
}

/** Makes somebody else the owner of a workspace whose last owner goes. */
async function succeed(
  work: Work,
  { workspaceId, accountId }: MembershipRow,
  succession: Succession,
): Promise<void> {
  if (succession === 'passOn') {
    const others = (await listMembers(work.tx, workspaceId)).filter(({ accountId: id }) => id !== accountId);
    const next = ROLES.map((role) => others.find((member) => member.role === role)).find(Boolean);
    return setRole(work, next!, 'owner', undefined);
  }
  if (typeof succession === 'string') throw lastOwner();
  const member = await findMember(work.tx, workspaceId, succession.to);
  if (member === undefined) {
    throw new Failure('badRequest', `${succession.to} is not a member of ${workspaceId}.`);
  }
  await setRole(work, member, 'owner', undefined);
}

/** Whether an account is the only member of a workspace, or its only owner. */
async function stateOf(
  db: Pick<Work['tx'], 'get' | 'all'>,
  { workspaceId, role }: MembershipRow,
): Promise<'alone' | 'heldAlone' | 'free'> {
  if ((await countMembers(db, workspaceId)) === 1) return 'alone';
  if (role !== 'owner') return 'free';
  return (await listOwnerIds(db, workspaceId)).length === 1 ? 'heldAlone' : 'free';
}
