import type { Deps } from '../../deps.ts';
import { listAllGrantsGiven, listAllTerminals } from '../../domain/permissions/records-of-account.ts';
import { toIso } from '../server/wire-times.ts';

/**
 * What the export of an account says of permissions: what it granted, and the terminals that act or acted for it.
 *
 * @returns undefined if there is nothing
 */
export async function exportPermissions(
  deps: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
): Promise<object | undefined> {
  const [grants, terminals] = await Promise.all([
    listAllGrantsGiven(deps, accountId),
    listAllTerminals(deps, accountId),
  ]);
  if (grants.length === 0 && terminals.length === 0) return undefined;
  return {
    grants: grants.map((grant) => ({
      id: grant.id,
      request_id: grant.requestId,
      agent_id: grant.agentId ?? undefined,
      by_terminal: grant.grantedWith ?? undefined,
      grant: JSON.parse(grant.artifact) as object,
      granted_at: toIso(grant.createdAt),
      expires_at: toIso(grant.expiresAt),
      used_at: grant.spentAt === null ? undefined : toIso(grant.spentAt),
      revoked_at: grant.revokedAt === null ? undefined : toIso(grant.revokedAt),
    })),
    terminals: terminals.map((key) => ({
      thumbprint: key.thumbprint,
      name: key.name ?? undefined,
      bound: JSON.parse(key.bound ?? '{}') as object,
      from: key.origin,
      created_at: toIso(key.createdAt),
      expires_at: key.expiresAt === null ? undefined : toIso(key.expiresAt),
      last_used_at: key.seenAt === null ? undefined : toIso(key.seenAt),
      ended_at: key.endedAt === null ? undefined : toIso(key.endedAt),
    })),
  };
}
