import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { parsePlacePath } from '../../lib/place-path.ts';
import { formatScope, isSubset } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findNode } from '../../store/nodes.ts';
import { insertPlace, listPlaceHistory, type PlaceRow, updateBoundReplaced } from '../../store/places.ts';
import { lockWorkspace } from '../../store/workspaces.ts';
import type { Work } from '../../work.ts';
import { type AllowedPlace, allowPlaces, type PlaceRequest } from '../workspaces/give-places.ts';

/**
 * Where a client may work at most: places whose holder is the client. They give nothing to anybody, and introspection never reads
 * them: each human gives the app places of their own within them.
 */

/** A place that may be within a bound. */
export type BoundedPlace = Pick<PlaceRow, 'workspaceId' | 'nodeId' | 'path' | 'types'>;

/**
 * Reads where a client may work at most.
 *
 * @returns undefined: it was registered without a bound. One whose places have all ended may work nowhere
 */
export async function readClientBound(
  db: Pick<Tx, 'all'>,
  clientId: string,
): Promise<readonly PlaceRow[] | undefined> {
  const rows = (await listPlaceHistory(db, clientId)).filter(({ endReason }) => endReason !== 'replaced');
  return rows.length === 0 ? undefined : rows.filter(({ endedAt }) => endedAt === null);
}

/** In place of a workspace: the own things of whoever lets the client in. */
export const OWN_THINGS = 'own';

/**
 * Checks places that a client may work in at most, and locks their workspaces. The caller locks the client afterwards.
 *
 * @param owner the human who registers it, as whose role bounds them; undefined: the operator, whom none bounds
 * @throws Failure as allowPlaces(); `badRequest` with field `places` for a workspace that the operator does not have
 */
export async function allowBound(
  work: Work,
  owner: string | undefined,
  places: readonly PlaceRequest[],
): Promise<AllowedPlace[]> {
  if (places.length === 0) return [];
  if (owner !== undefined) return allowPlaces(work, owner, places);
  const allowed: AllowedPlace[] = [];
  for (const place of places.toSorted((one, other) => (one.workspaceId < other.workspaceId ? -1 : 1))) {
    const { workspaceId, path, actions } = place;
    const isThere = workspaceId === OWN_THINGS || (await lockWorkspace(work.tx, workspaceId)) !== undefined;
    if (!isThere)
      throw new Failure('badRequest', `There is no workspace ${workspaceId}.`, { field: 'places' });
    const text = path === undefined ? undefined : parsePlacePath(path, 'places');
    allowed.push({
      workspaceId,
      resource: null,
      nodeId: null,
      path: text ?? null,
      types: null,
      actions: formatScope(actions),
    });
  }
  return allowed;
}

/**
 * Sets where a client may work at most, in the transaction that allowed it.
 *
 * @param client its id, and the account as which it acts
 * @param owner see allowBound()
 * @param places none: it has no bound
 */
export async function setBound(
  work: Work,
  client: { id: string; accountId: string },
  owner: string | undefined,
  places: readonly AllowedPlace[],
): Promise<void> {
  const { tx, now, deps } = work;
  await updateBoundReplaced(tx, client.id, now);
  for (const place of places) {
    const workspaceId = place.workspaceId === OWN_THINGS ? client.accountId : place.workspaceId;
    await insertPlace(tx, {
      ...place,
      id: newId('plc', now, deps.random),
      holder: client.id,
      workspaceId,
      grantedBy: owner ?? workspaceId,
      createdAt: now,
      expiresAt: null,
    });
  }
}

/**
 * Refuses what a client may not do with somebody's own things.
 *
 * @param accountId of that human, or as which the client acts
 * @throws Failure `invalidScope`
 */
export async function requireOwnWithinBound(
  db: Pick<Tx, 'get' | 'all'>,
  clientId: string,
  accountId: string,
  resource: string,
  scopes: readonly string[],
): Promise<void> {
  const bound = await readClientBound(db, clientId);
  if (bound === undefined) return;
  const own = { workspaceId: accountId, nodeId: null, path: null, types: null };
  const most = (await actionsWithinBound(db, bound, own, accountId, resource)) ?? [];
  if (isSubset(scopes, most)) return;
  throw new Failure('invalidScope', 'This client was registered for other places.');
}

/** Whether a place of a bound stands for everybody's own things, whosever account it names. */
export function isOwnBound({ workspaceId }: Pick<PlaceRow, 'workspaceId'>): boolean {
  return workspaceId.startsWith('usr_');
}

/**
 * Finds what a client may do in a place at most.
 *
 * @param accountId of the human, whose own things may be meant
 * @param resource the URL of the API
 * @returns scopes; undefined: it may not work there
 */
export async function actionsWithinBound(
  db: Pick<Tx, 'get'>,
  bound: readonly PlaceRow[],
  place: BoundedPlace,
  accountId: string,
  resource: string,
): Promise<string[] | undefined> {
  const chain = place.nodeId === null ? [] : await listChain(db, place.nodeId);
  const actions = bound
    .filter((row) => row.resource === null || row.resource === resource)
    .filter((row) => includes(row, place, accountId, chain))
    .flatMap((row) => row.actions.split(' '));
  return actions.length === 0 ? undefined : [...new Set(actions)];
}

function includes(row: PlaceRow, place: BoundedPlace, accountId: string, chain: readonly string[]): boolean {
  const isThere = isOwnBound(row) ? place.workspaceId === accountId : place.workspaceId === row.workspaceId;
  const types = place.types?.split(' ');
  const areTypes =
    row.types === null || (types?.every((type) => row.types!.split(' ').includes(type)) ?? false);
  if (!isThere || !areTypes) return false;
  if (row.nodeId !== null) return chain.includes(row.nodeId);
  if (row.path === null) return true;
  const { path } = place;
  return path !== null && (path === row.path || (row.path.endsWith('/') && path.startsWith(row.path)));
}

/** Lists a node and all that it is in. */
async function listChain(db: Pick<Tx, 'get'>, nodeId: string): Promise<string[]> {
  const chain: string[] = [];
  for (let id: string | null = nodeId; id !== null && !chain.includes(id); ) {
    chain.push(id);
    id = (await findNode(db, id))?.parentId ?? null;
  }
  return chain;
}
