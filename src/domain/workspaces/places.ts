import { lockAccount } from '../../store/accounts.ts';
import { lockAgent } from '../../store/agents.ts';
import { updateTokensOfOAuthGrantRevoked } from '../../store/app-tokens.ts';
import { lockOAuthGrant, updateOAuthGrantRevoked } from '../../store/oauth-grants.ts';
import { deleteOAuthStatesOfGrant } from '../../store/oauth-states.ts';
import { lockPermissionGrant, updateGrantRevoked } from '../../store/permission-grants.ts';
import {
  lockPlacedCredential,
  updateAgentUnplaced,
  updatePlacedCredentialRevoked,
} from '../../store/placed-credentials.ts';
import {
  type EndedPlace,
  listPlacesOf,
  type PlaceEnd,
  updatePlaceEnded,
  updatePlacesOfGranterEnded,
  updatePlacesOfHolderEnded,
  updatePlacesOfHolderInEnded,
  updatePlacesOfWorkspaceEnded,
  updatePlacesOnEndedNodesEnded,
} from '../../store/places.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { notify } from '../audit/notifications.ts';

/**
 * How places end. Nothing revives one. A key that works in its places alone is revoked with the last of them, and so is what a
 * human let an app do in places alone. Callers hold what the order of locks puts before places: the workspace, then the tree,
 * then the account. Places are locked before the key, agent or consent that has them.
 */

/** What ended together. */
export interface Ends {
  places: number;
  /** How many keys were revoked, since they had no place left. */
  keys: number;
  /** Of the events that say so. */
  eventIds: string[];
}

/** Ends what an account gave in a workspace that the caller locked: the account leaves it, or is removed. */
export async function endPlacesOfGranter(
  work: Work,
  workspaceId: string,
  accountId: string,
  reason: Extract<PlaceEnd, 'member_left' | 'member_removed' | 'account_deleted' | 'revoked'>,
): Promise<Ends> {
  const ended = await updatePlacesOfGranterEnded(work.tx, workspaceId, accountId, work.now, reason);
  return followEnds(work, ended, reason, accountId);
}

/** Ends all places of a key, an agent or a consent. @param accountId who ends them; undefined: nobody in person */
export async function endPlacesOfHolder(
  work: Work,
  holder: string,
  reason: Extract<PlaceEnd, 'revoked' | 'replaced' | 'account_deleted'>,
  accountId?: string,
): Promise<Ends> {
  const ended = await updatePlacesOfHolderEnded(work.tx, holder, work.now, reason);
  return followEnds(work, ended, reason, accountId);
}

/**
 * Ends the places that a key or a consent has in a workspace that the caller locked. A person whose key or app somebody else
 * ends is mailed.
 *
 * @param ownerId whose key or app it is; undefined: of nobody in person
 * @param accountId who ends them; undefined: nobody in person
 */
export async function endPlacesOfHolderIn(
  work: Work,
  holder: string,
  workspaceId: string,
  ownerId: string | undefined,
  accountId: string | undefined,
): Promise<Ends> {
  const isAnothers = ownerId !== undefined && ownerId !== accountId;
  if (isAnothers) await lockAccount(work.tx, ownerId);
  const ended = await updatePlacesOfHolderInEnded(work.tx, holder, workspaceId, work.now, 'revoked');
  if (!isAnothers) return followEnds(work, ended, 'revoked', accountId);
  const ends = await followEnds(work, ended, 'revoked', ownerId, accountId);
  for (const eventId of ends.eventIds) await notify(work, [ownerId], eventId);
  return ends;
}

/** Ends some places of a consent that goes on with others, or with none: then it is for the account alone. */
export async function replaceSomePlaces(
  work: Work,
  places: readonly EndedPlace[],
  accountId: string,
): Promise<void> {
  const ended: EndedPlace[] = [];
  for (const place of places) {
    if ((await updatePlaceEnded(work.tx, place.id, work.now, 'replaced')) === 1) ended.push(place);
  }
  await followEnds(work, ended, 'replaced', accountId);
}

/** Ends all places in a workspace that ends, shared or personal. */
export async function endPlacesOfWorkspace(work: Work, workspaceId: string): Promise<Ends> {
  const ended = await updatePlacesOfWorkspaceEnded(work.tx, workspaceId, work.now);
  return followEnds(work, ended, 'workspace_deleted');
}

/** Ends the places on those nodes of a tree that have ended; the caller holds the tree and ended them before. */
export async function endPlacesOnNodes(
  work: Work,
  tree: { resource: string; workspaceId: string },
): Promise<Ends> {
  const ended = await updatePlacesOnEndedNodesEnded(work.tx, tree, work.now);
  return followEnds(work, ended, 'node_gone');
}

/** Revokes what has no place left, and records the ends, one event for each workspace. @param actor who ended what is another one's */
async function followEnds(
  work: Work,
  ended: readonly EndedPlace[],
  reason: PlaceEnd,
  accountId?: string,
  actor?: string,
): Promise<Ends> {
  const ends: Ends = { places: ended.length, keys: 0, eventIds: [] };
  for (const holder of new Set(ended.map((place) => place.holder).toSorted())) {
    if (holder.startsWith('grt_')) await revokeGrantWithoutPlaces(work, holder, accountId);
    else if (!holder.startsWith('con_')) ends.keys += await endWithoutPlaces(work, holder);
    else if (reason !== 'replaced') await disconnectWithoutPlaces(work, holder);
  }
  for (const [workspaceId, places] of Map.groupBy(ended, (place) => place.workspaceId)) {
    const holders = new Set(places.map((place) => place.holder));
    const eventId = await recordEvent(work, {
      kind: 'place.ended',
      accountId,
      workspaceId,
      subject: holders.size === 1 ? places[0]!.holder : undefined,
      details: {
        places: places.length,
        holders: holders.size,
        reason,
        ...(actor !== undefined && { actor }),
      },
    });
    ends.eventIds.push(eventId);
  }
  return ends;
}

/** @returns how many keys were revoked */
async function endWithoutPlaces({ tx, now }: Work, holder: string): Promise<number> {
  if (holder.startsWith('agt_')) {
    await lockAgent(tx, holder);
    await updateAgentUnplaced(tx, holder);
    return 0;
  }
  if ((await lockPlacedCredential(tx, holder)) === 0) return 0;
  return updatePlacedCredentialRevoked(tx, holder, now);
}

/** Revokes a permission grant that has no place left. @param accountId who ended its last place; undefined: nobody in person */
async function revokeGrantWithoutPlaces(work: Work, id: string, accountId?: string): Promise<void> {
  const { tx, now } = work;
  const grant = await lockPermissionGrant(tx, id);
  if (grant === undefined || (await listPlacesOf(tx, id)).length > 0) return;
  if ((await updateGrantRevoked(tx, id, now)) !== 1) return;
  await recordEvent(work, {
    kind: 'grant.revoked',
    accountId: accountId ?? grant.grantedBy,
    agentId: grant.agentId ?? undefined,
    subject: id,
    details: { request: grant.requestId },
  });
}

/** Ends a consent that has no place left, as endConsent() of the domain room `apps` does: its app gets no token any more. */
async function disconnectWithoutPlaces(work: Work, consentId: string): Promise<void> {
  const { tx, now } = work;
  // Locked first: of two transactions that end its places the later one sees what the earlier one ended.
  const consent = await lockOAuthGrant(tx, consentId);
  if (consent === undefined || consent.revokedAt !== null) return;
  if ((await listPlacesOf(tx, consentId)).length > 0) return;
  await updateOAuthGrantRevoked(tx, consentId, now);
  await updateTokensOfOAuthGrantRevoked(tx, consentId, now);
  await deleteOAuthStatesOfGrant(tx, consentId);
  const { accountId, clientId } = consent;
  await recordEvent(work, {
    kind: 'app.revoked',
    accountId,
    subject: consentId,
    details: { client: clientId, by: 'places' },
  });
}
