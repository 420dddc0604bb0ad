import { listGrantableRoles, type Role } from '../../domain/workspaces/roles.ts';
import { type Membership, requireMember } from '../../domain/workspaces/workspaces.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import type { ListedMember } from '../../store/members.ts';
import type { Call } from '../server/table.ts';

/** What the pages of a workspace share. */

export type WorkspaceCall<Form = unknown> = Pick<
  Call<Form, 'signedInUser'>,
  'deps' | 'caller' | 'params' | 'query'
>;

/** Finds the workspace of a path as the signed-in member. @throws Failure `notFound` for everybody else */
export function findOwnWorkspace({
  deps,
  caller,
  params,
}: Pick<WorkspaceCall, 'deps' | 'caller' | 'params'>): Promise<Membership> {
  return requireMember(deps.db, params.id!, caller.session.accountId);
}

/** The path of a page of a workspace. @param page such as `/rename` */
export function workspacePath(id: string, page = ''): `/${string}` {
  return `${PAGES.workspaces}/${id}${page}`;
}

/** Prepares a workspace for a template. */
export function presentWorkspace({ workspaceId, name, role, joinedAt, createdAt }: Membership) {
  return {
    id: workspaceId,
    path: workspacePath(workspaceId),
    name: displayName(name),
    role,
    joinedAt,
    createdAt,
    isManaged: role === 'owner' || role === 'admin',
  };
}

/**
 * Prepares a member for a template: by the name that they chose, with one's own mailbox in full, and those of others masked.
 *
 * @param own the role and the account of the reader
 */
export function presentMember(
  member: Omit<ListedMember, 'workspaceId'>,
  own: { role: Role; accountId: string },
) {
  const { accountId, mailbox, accountName, role, joinedAt } = member;
  const isYou = accountId === own.accountId;
  const address = mailbox === null ? '' : isYou ? mailbox : maskMailbox(mailbox);
  const called = mailbox === null ? '' : displayName(accountName ?? '');
  return {
    id: accountId,
    name: called || address,
    /** Beneath the name; undefined: the address is the name already. */
    address: called === '' ? undefined : address,
    initial: (called || (mailbox ?? '?')).slice(0, 1).toUpperCase(),
    role,
    joinedAt,
    isYou,
    isManaged: !isYou && listGrantableRoles(own.role).includes(role),
  };
}

/** Whether something of a name can be shown. */
export const hasName = (name: string): boolean => displayName(name) !== '';
