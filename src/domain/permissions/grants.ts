import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { GrantedPermission, PermissionGrant } from '../../lib/artifacts/permission-grant.ts';
import { formatSeconds } from '../../lib/artifacts/read-members.ts';
import { findAccount } from '../../store/accounts.ts';
import { findAgent, listAgentNames } from '../../store/agents.ts';
import type { Tx } from '../../store/engine/db.ts';
import {
  findPermissionGrant,
  type GrantHolder,
  listGrantsBy,
  listLiveGrantsBy,
  listLiveGrantsOf,
  type PermissionGrantRow,
  updateGrantRevoked,
} from '../../store/permission-grants.ts';
import { updateRequestsOfAgentClosed } from '../../store/permission-requests.ts';
import { updateSessionKeysOfAgentEnded, updateTerminalsEnded } from '../../store/session-keys.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { type PlacedAccess, readGrantsAccess } from '../credentials/placed-access.ts';
import { useCase } from '../limits/use-case.ts';
import { endPlacesOfHolder, endPlacesOfHolderIn } from '../workspaces/places.ts';
import { isManager } from '../workspaces/roles.ts';
import { lockWorkspaceAs, roleForbids } from '../workspaces/workspaces.ts';
import type { KeyHolder } from './key-holders.ts';
import { listServiceNames } from './services.ts';

/** What was granted, as long as it works. */

/** A grant that works. */
export interface LiveGrant {
  row: PermissionGrantRow;
  /** As we signed it. */
  artifact: PermissionGrant;
  /** What it allows now: places end, and roles change. */
  permissions: GrantedPermission[];
}

/** How many grants a key reaches at once: the newest. */
export const GRANTS_MAX = 50;

/** Returns who holds what is granted to a key. */
function grantHolderOf({ agentId, accountId }: Pick<KeyHolder, 'agentId' | 'accountId'>): GrantHolder {
  return agentId === undefined ? { accountId } : { agentId };
}

/** Lists the grants that a key reaches: those to it, and to the keys that it followed. Those that are spent are left out. */
export async function listGrantsOfKey(
  db: Pick<Tx, 'all'>,
  holder: KeyHolder,
  now: number,
): Promise<PermissionGrantRow[]> {
  const rows = await listLiveGrantsOf(db, grantHolderOf(holder), now);
  return rows
    .filter(({ family, generation }) => family === holder.family && generation <= holder.generation)
    .filter(({ spentAt }) => spentAt === null)
    .slice(-GRANTS_MAX);
}

/** Describes grants by what they allow now. Those that allow nothing at the moment are there, too. */
export async function describeGrants(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  rows: readonly PermissionGrantRow[],
): Promise<LiveGrant[]> {
  const names = await listServiceNames(deps);
  return Promise.all(
    rows.map(async (row) => {
      const artifact = JSON.parse(row.artifact) as PermissionGrant;
      const resources = [...new Set(artifact.permissions.map(({ resource }) => resource))];
      const permissions = await Promise.all(
        resources.map(async (resource) => {
          const access = await readGrantsAccess(deps, [row.id], resource);
          return access.map((each) => toPermission(each, resource, names, row.expiresAt));
        }),
      );
      return { row, artifact, permissions: permissions.flat() };
    }),
  );
}

/** Writes access as a grant does. */
function toPermission(
  { workspaceId, node, path, types, actions, expiresAt }: PlacedAccess,
  resource: string,
  names: ReadonlyMap<string, string>,
  grantEndsAt: number,
): GrantedPermission {
  return {
    service: names.get(resource) ?? resource,
    resource,
    space: workspaceId,
    path: node === undefined ? (path ?? '') : `@${node}`,
    actions: actions.toSorted(),
    ...(types !== undefined && { types }),
    ...(expiresAt !== null && expiresAt < grantEndsAt && { expires_at: formatSeconds(expiresAt) }),
  };
}

/** Returns the names of the agents that hold grants, by agent; no more than a page has. */
export function listHolderNames({ db }: Pick<Deps, 'db'>, rows: readonly PermissionGrantRow[]) {
  return listAgentNames(db, [...new Set(rows.flatMap(({ agentId }) => agentId ?? []))]);
}

/** Lists the newest grants that an account gave and that work. */
export function listGrantsGiven({ db, clock }: Pick<Deps, 'db' | 'clock'>, accountId: string) {
  return listLiveGrantsBy(db, accountId, clock());
}

/** Lists the grants of an agent that work. */
export function listGrantsOfAgent({ db, clock }: Pick<Deps, 'db' | 'clock'>, agentId: string) {
  return listLiveGrantsOf(db, { agentId }, clock());
}

/**
 * Revokes a grant by the session key of its holder or of the human who gave it.
 *
 * @throws Failure `notFound`, whether or not it exists, for all others
 */
export async function revokeGrantByKey(
  deps: Deps,
  origin: RequestOrigin,
  holder: KeyHolder,
  grantId: string,
): Promise<void> {
  await revokeGrant(deps, origin, grantId, (grant) => {
    if (holder.agentId === undefined && grant.grantedBy === holder.accountId) return true;
    const isHeld =
      grant.agentId === null ? grant.accountId === holder.accountId : grant.agentId === holder.agentId;
    return isHeld && grant.family === holder.family && grant.generation <= holder.generation;
  });
}

/**
 * Revokes a grant for the human who gave it, or who owns the agent that has it.
 *
 * @throws Failure `notFound`, whether or not it exists, for all others
 */
export async function revokeGrantByOwner(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  grantId: string,
): Promise<void> {
  const found = await findOwnGrant(deps, accountId, grantId);
  await revokeGrant(deps, origin, grantId, ({ id }) => id === found.id, accountId);
}

/** Finds a grant that a human gave, or that an agent of theirs has. @throws Failure `notFound` */
export async function findOwnGrant(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  grantId: string,
): Promise<PermissionGrantRow> {
  const grant = await findPermissionGrant(db, grantId);
  const isLive = grant !== undefined && grant.revokedAt === null && grant.expiresAt > clock();
  if (!isLive) throw grantUnknown();
  if (grant.grantedBy === accountId || grant.accountId === accountId) return grant;
  const agent = grant.agentId === null ? undefined : await findAgent(db, grant.agentId);
  const account = agent && (await findAccount(db, agent.accountId));
  const ownerId = account?.kind === 'human' ? account.id : account?.parentId;
  if (ownerId !== accountId) throw grantUnknown();
  return grant;
}

async function revokeGrant(
  deps: Deps,
  origin: RequestOrigin,
  grantId: string,
  mayRevoke: (grant: PermissionGrantRow) => boolean,
  accountId?: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const grant = await findPermissionGrant(tx, grantId);
    if (grant === undefined || grant.revokedAt !== null || grant.expiresAt <= now || !mayRevoke(grant)) {
      throw grantUnknown();
    }
    await endGrant(work, grant, accountId);
  });
}

/**
 * Ends what a grant allows in a workspace, as an owner or admin of it. A grant that allows nothing elsewhere ends.
 *
 * @throws Failure `notFound` for a workspace that is not one's own, and for a grant that has no place there; `forbidden`
 */
export async function endGrantInWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  grantId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (!isManager(role)) throw roleForbids();
    if (!grantId.startsWith('grt_')) throw grantUnknown();
    const { places } = await endPlacesOfHolderIn(work, grantId, workspaceId, undefined, accountId);
    if (places === 0) throw grantUnknown();
  });
}

/** Ends a grant in the caller's transaction, with its places. */
export async function endGrant(work: Work, grant: PermissionGrantRow, accountId?: string): Promise<void> {
  const { tx, now } = work;
  // With its last place it ends, and says so.
  await endPlacesOfHolder(work, grant.id, 'revoked', accountId ?? grant.grantedBy);
  if ((await updateGrantRevoked(tx, grant.id, now)) !== 1) return;
  await recordEvent(work, {
    kind: 'grant.revoked',
    accountId: accountId ?? grant.grantedBy,
    agentId: grant.agentId ?? undefined,
    subject: grant.id,
    details: { request: grant.requestId },
  });
}

/** Ends the session keys, open requests and grants of an agent that ends. The caller holds the agent. */
export async function endPermissionsOfAgent(work: Work, agentId: string): Promise<void> {
  const { tx, now } = work;
  await updateSessionKeysOfAgentEnded(tx, agentId, now);
  await updateRequestsOfAgentClosed(tx, agentId, now);
  for (const grant of await listLiveGrantsOf(tx, { agentId }, now)) {
    await endPlacesOfHolder(work, grant.id, 'revoked');
    await updateGrantRevoked(tx, grant.id, now);
  }
}

/** Ends the terminals of an account that ends, and what it granted. The caller holds the account. */
export async function endPermissionsOfAccount(work: Work, accountId: string): Promise<void> {
  const { tx, now } = work;
  await updateTerminalsEnded(tx, accountId, now);
  const given = await listGrantsBy(tx, accountId);
  for (const grant of given.filter(({ revokedAt, expiresAt }) => revokedAt === null && expiresAt > now)) {
    await endGrant(work, grant);
  }
}

function grantUnknown(): Failure {
  return new Failure('notFound', 'There is no such grant.');
}
