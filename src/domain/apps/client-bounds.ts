import type { Tx } from '../../store/engine/db.ts';
import { findNode } from '../../store/nodes.ts';
import { listPlaceHistory, type PlaceRow } from '../../store/places.ts';

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

function includes(
  row: PlaceRow,
  place: BoundedPlace,
  accountId: string,
  chain: readonly string[],
): boolean {
  const isThere = isOwnBound(row)
    ? place.workspaceId === accountId
    : place.workspaceId === row.workspaceId;
  const types = place.types?.split(' ');
  const areTypes = row.types === null || (types?.every((type) => row.types!.split(' ').includes(type)) ?? false);
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
