import { AuthError } from '../lib/artifacts/auth-error.ts';
import { type Capability, formatCap } from '../lib/artifacts/capability-spec.ts';
import { covers, isNamedBy, isPathWithin } from '../lib/artifacts/coverage.ts';
import type { GrantedPermission } from '../lib/artifacts/permission-grant.ts';

/** Authorization details of type `workspace` (RFC 9396): one place where a token may do what. */
export interface WorkspaceDetail {
  type: 'workspace';
  locations: [string];
  identifier: string;
  actions: string[];
  node?: string;
  path?: string;
}

/**
 * Writes capabilities as authorization details, with workspaces, APIs and scopes by their full names.
 *
 * @param held what the profile holds now
 * @throws AuthError `PERMISSIONS_MISSING` with the first capability that is not held
 */
export function toDetails(
  caps: readonly Capability[],
  held: readonly GrantedPermission[],
): WorkspaceDetail[] {
  return caps.flatMap((cap) => {
    const space =
      cap.space === 'default'
        ? held.map((each) => each.space).find((each) => covers(held, { ...cap, space: each }))
        : cap.space;
    if (space === undefined || !covers(held, { ...cap, space })) {
      throw new AuthError('PERMISSIONS_MISSING', 'This profile does not hold all of that.', {
        hint: `vouchsafe auth request --cap "${formatCap(cap)}"`,
      });
    }
    const there = held.filter(
      (each) => each.space === space && isSameName(each, cap) && isPathWithin(cap.path, each.path),
    );
    return [...Map.groupBy(there, ({ resource }) => resource)].map(([resource, permissions]) => {
      const scopes = permissions.flatMap(({ actions }) => actions);
      const named = scopes.filter((scope) => cap.actions.some((action) => isNamedBy(scope, action)));
      return {
        type: 'workspace',
        locations: [resource],
        identifier: space,
        actions: [...new Set(named)].toSorted(),
        ...placeOf(cap.path),
      };
    });
  });
}

function placeOf(path: string): { node?: string; path?: string } {
  if (path === '') return {};
  return path.startsWith('@') ? { node: path.slice(1) } : { path };
}

function isSameName(held: GrantedPermission, { service }: Capability): boolean {
  return covers([held], { ...held, service });
}
