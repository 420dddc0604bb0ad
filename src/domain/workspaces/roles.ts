import type { Config } from '../../config/load.ts';
import type { Role } from '../../store/members.ts';

/** What each role in a workspace may do (docs/workspaces.md, roles). */

export type { Role };

/** All roles, the widest first. */
export const ROLES: readonly Role[] = ['owner', 'admin', 'member', 'viewer'];

/** Whether a role may rename a workspace, see all its keys, end anybody's and invite people. */
export function isManager(role: Role): boolean {
  return role === 'owner' || role === 'admin';
}

/** Whether a role may make keys for its workspace. */
export function mayIssueKeys({ workspaces }: Pick<Config, 'workspaces'>, role: Role): boolean {
  return isIn(workspaces.keyIssuers, role);
}

/** Whether a role may let apps into its workspace. */
export function mayApproveApps({ workspaces }: Pick<Config, 'workspaces'>, role: Role): boolean {
  return isIn(workspaces.appApprovers, role);
}

/** Lists the roles that a role may give to others, and take from them. */
export function listGrantableRoles(role: Role): readonly Role[] {
  if (role === 'owner') return ROLES;
  return role === 'admin' ? ['member', 'viewer'] : [];
}

/** Restricts scopes to those that a role may use: a viewer may look only. */
export function restrictToRole(
  { lookingScopes }: Pick<Config, 'lookingScopes'>,
  role: Role,
  actions: readonly string[],
): string[] {
  return role === 'viewer' ? actions.filter((action) => lookingScopes.includes(action)) : [...actions];
}

function isIn(roles: readonly Role[], role: Role): boolean {
  return roles.includes(role);
}
