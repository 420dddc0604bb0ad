import type { ConnectedProfile } from '../../client/connected-profile.ts';
import { AuthError } from '../../lib/artifacts/auth-error.ts';
import { listMissing } from '../../lib/artifacts/coverage.ts';
import type { PermissionEntry } from '../../lib/artifacts/permission-entry.ts';
import type { GrantedPermission, PermissionGrant } from '../../lib/artifacts/permission-grant.ts';

/** What grants give for more than one action: those for one alone are spent by one use. */
export function lasting(grants: readonly PermissionGrant[]): GrantedPermission[] {
  return grants.filter(({ once }) => once === undefined).flatMap(({ permissions }) => permissions);
}

/**
 * Returns what of the wanted permissions the profile does not hold. The service is asked only where all of it was granted once,
 * and may have been taken away since; where it does not answer, what was granted counts.
 */
export async function listMissingNow(
  connected: ConnectedProfile,
  wanted: readonly PermissionEntry[],
): Promise<PermissionEntry[]> {
  const missing = connected.profile.artifacts.missing(wanted);
  if (missing.length > 0) return missing;
  try {
    return listMissing(lasting(await connected.listLiveGrants()), wanted);
  } catch (error) {
    if (error instanceof AuthError && error.code === 'NETWORK_ERROR') return [];
    throw error;
  }
}
