import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { lockAccount } from '../../store/accounts.ts';
import { updateInvitationsOfWorkspaceEnded } from '../../store/invitations.ts';
import {
  countMembers,
  countOwnedWorkspaces,
  findMember,
  findMembership,
  insertMember,
  listMemberships,
  listOwnerIds,
  type MembershipRow,
  updateMembersOfWorkspaceEnded,
} from '../../store/members.ts';
import { updateNodesOfWorkspaceEnded } from '../../store/nodes.ts';
import { deleteTreesOfWorkspace } from '../../store/trees.ts';
import {
  insertWorkspace,
  isOfferedWorkspaces,
  lockWorkspace,
  updateWorkspaceEnded,
  updateWorkspaceName,
} from '../../store/workspaces.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { type AuditEvent, recordEvent } from '../audit/audit-log.ts';
import { lockAccounts, notify } from '../audit/notifications.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { endPlacesOfWorkspace } from './places.ts';
import { isManager } from './roles.ts';

/** Shared workspaces: created, renamed, deleted. Everybody else than a member is told that there is no such workspace. */

/** A workspace as one of its members sees it. */
export type Membership = MembershipRow & { createdAt: number };

/**
 * Whether an account is shown workspaces: a resource server understands them, or it is in one. An installation without
 * shows nothing of them.
 */
export function isOffered({ db }: Pick<Deps, 'db'>, accountId: string): Promise<boolean> {
  return isOfferedWorkspaces(db, accountId);
}

/** Lists the workspaces that an account is in, by name. */
export function listWorkspacesOf({ db }: Pick<Deps, 'db'>, accountId: string): Promise<MembershipRow[]> {
  return listMemberships(db, accountId);
}

/**
 * Finds a workspace as one of its members. It is one statement for unknown, ended and foreign ones.
 *
 * @throws Failure `notFound` for all of them alike
 */
export async function requireMember(
  db: Parameters<typeof findMembership>[0],
  workspaceId: string,
  accountId: string,
): Promise<Membership> {
  const membership = await findMembership(db, workspaceId, accountId);
  if (membership === undefined) throw workspaceNotFound();
  return membership;
}

/**
 * Locks a workspace for one of its members, until the transaction ends: nobody joins or leaves it, changes a role, or
 * gives a place there. Comes before all other locks (docs/adr/0003-two-engines-one-sql.md).
 *
 * @returns the membership, with the role of this moment
 * @throws Failure as requireMember(); nobody but members can hold up a workspace
 */
export async function lockWorkspaceAs(
  { tx }: Pick<Work, 'tx'>,
  workspaceId: string,
  accountId: string,
): Promise<Membership> {
  const membership = await requireMember(tx, workspaceId, accountId);
  const workspace = await lockWorkspace(tx, workspaceId);
  const member = workspace && (await findMember(tx, workspaceId, accountId));
  if (workspace === undefined || member === undefined) throw workspaceNotFound();
  return { ...membership, ...member, name: workspace.name };
}

/**
 * Creates a workspace, with the account as its owner.
 *
 * @param name as somebody typed it; the caller has checked that something of it can be shown
 * @returns its id
 * @throws Failure `notFound` if the account is not shown workspaces; `tooMany` with field `owned` beyond
 * `workspacesOwned`; `limited`
 */
export function createWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  name: string,
): Promise<string> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
    if (!(await isOfferedWorkspaces(tx, accountId))) throw workspaceNotFound();
    const { workspacesOwned } = deps.config.limits;
    if ((await countOwnedWorkspaces(tx, accountId)) >= workspacesOwned) {
      throw tooMany('owned', `An account can own ${workspacesOwned} workspaces.`, workspacesOwned);
    }
    await consumeLimits(work, [{ name: 'workspacesPerAccount', key: accountId }]);
    const id = newId('wsp', now, deps.random);
    await insertWorkspace(tx, { id, name, createdBy: accountId, createdAt: now });
    await insertMember(tx, { workspaceId: id, accountId, role: 'owner', joinedAt: now });
    await recordEvent(work, { kind: 'workspace.created', accountId, workspaceId: id });
    return id;
  });
}

/** Renames a workspace. @throws Failure `notFound`; `forbidden` for members and viewers */
export async function renameWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  id: string,
  name: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role, name: before } = await lockWorkspaceAs(work, id, accountId);
    if (!isManager(role)) throw roleForbids();
    if (name === before) return;
    await updateWorkspaceName(work.tx, id, name);
    await recordEvent(work, {
      kind: 'workspace.renamed',
      accountId,
      workspaceId: id,
      details: { by: 'owner' },
    });
  });
}

/**
 * Deletes a workspace: members, invitations, places and nodes end, keys that worked only there are revoked, and resource
 * servers are told. All owners are mailed. There is no undo.
 *
 * @throws Failure `notFound`; `forbidden` for all but owners
 */
export async function deleteWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role } = await lockWorkspaceAs(work, id, accountId);
    if (role !== 'owner') throw roleForbids();
    await endWorkspace(work, id, { accountId, details: { by: 'owner' } });
  });
}

/** Deletes a workspace as an operator. @throws Failure `notFound`, also for one that has ended */
export async function deleteWorkspaceAsOperator(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    if ((await lockWorkspace(work.tx, id)) === undefined) throw workspaceNotFound();
    await endWorkspace(work, id, { accountId: undefined, details: { by: 'operator' } });
    await recordOperatorEvent(work, act, { kind: 'operator.workspace_deleted', subject: id });
  });
}

/** Ends a workspace in the transaction that locked it, and tells its owners, who know already after a restore (`replay`). */
export async function endWorkspace(
  work: Work,
  id: string,
  by: Pick<AuditEvent, 'accountId' | 'details'>,
): Promise<void> {
  const { tx, now } = work;
  const members = await countMembers(tx, id);
  const owners = await listOwnerIds(tx, id);
  await lockAccounts(work, owners);
  await updateInvitationsOfWorkspaceEnded(tx, id, now);
  await endPlacesOfWorkspace(work, id);
  await updateNodesOfWorkspaceEnded(tx, id, now);
  await deleteTreesOfWorkspace(tx, id);
  await updateMembersOfWorkspaceEnded(tx, id, now);
  await updateWorkspaceEnded(tx, id, now);
  const { accountId, details } = by;
  const eventId = await recordEvent(work, {
    kind: 'workspace.deleted',
    accountId,
    workspaceId: id,
    details: { ...details, members },
  });
  if (details?.by !== 'replay') await notify(work, owners, eventId);
}

/**
 * Ends what APIs told of the personal workspace of an account that ends, and what was given there, and tells them that their data
 * of it goes with it. Without any of that nothing is recorded.
 */
export async function endPersonalWorkspace(work: Work, accountId: string): Promise<void> {
  if ((await endPersonalTrees(work, accountId)) === 0) return;
  await recordEvent(work, {
    kind: 'workspace.deleted',
    accountId,
    workspaceId: accountId,
    details: { by: 'account' },
  });
}

/**
 * Ends the personal workspace of an account that is merged into another one. APIs are not told: its data moves with the
 * agent (`account_merged`), and they tell where it is then.
 *
 * @returns how many trees, nodes and places ended
 */
export async function endPersonalTrees(work: Work, accountId: string): Promise<number> {
  const { tx, now } = work;
  const { places } = await endPlacesOfWorkspace(work, accountId);
  const nodes = await updateNodesOfWorkspaceEnded(tx, accountId, now);
  return places + nodes + (await deleteTreesOfWorkspace(tx, accountId));
}

/** Creates the failure for a workspace that is not there, or not one's own: the same for all. */
export function workspaceNotFound(): Failure {
  return new Failure('notFound', 'There is no such workspace among yours.');
}

/** Creates the failure for something that the role of the member does not allow. */
export function roleForbids(): Failure {
  return new Failure('forbidden', 'Your role in this workspace does not allow this.', {
    hint: 'workspace.problem.role',
  });
}

/** Creates the failure for one more than a limit allows. @param field what there are too many of */
export function tooMany(field: string, message: string, maximum: number): Failure {
  return new Failure('tooMany', message, { field, maximum });
}
