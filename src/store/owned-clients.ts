import type { ListSide } from '../lib/list-pages.ts';
import type { Db } from './engine/db.ts';
import { CLIENT_COLUMNS, type OAuthClientRow } from './oauth-clients.ts';
import { countIf, type ListOrder, rowsBeside, rowsUpTo, SCAN_MAX, startsWith } from './pages.ts';

/** The OAuth clients that a human registered and that have not ended. */

/** Lists a page of a human's clients, newest first. @param limit a constant of the program */
export function listOwnedClientsPage(
  db: Pick<Db, 'all'>,
  owner: string,
  search: string | undefined,
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<OAuthClientRow[]> {
  const found = startsWith(search, NAMES);
  const { condition, orderBy } = rowsBeside(NEWEST, place && { side: place.side, values: [place.id] });
  return db.all(
    `SELECT ${CLIENT_COLUMNS} FROM oauth_clients
     WHERE owner = ? AND ended_at IS NULL${found.sql}${condition.sql} ${orderBy} LIMIT ${limit}`,
    [owner, ...found.params, ...condition.params],
  );
}

/** Lists all clients of a human that have not ended. */
export function listOwnedClients(db: Pick<Db, 'all'>, owner: string): Promise<OAuthClientRow[]> {
  return db.all(
    `SELECT ${CLIENT_COLUMNS} FROM oauth_clients WHERE owner = ? AND ended_at IS NULL ORDER BY id`,
    [owner],
  );
}

/** Counts a human's clients: all, those found, and those before a place. SCAN_MAX at most are looked at. */
export async function countOwnedClients(
  db: Pick<Db, 'get'>,
  owner: string,
  search: string | undefined,
  place: { side: ListSide; id: string } | undefined,
): Promise<{ all: number; found: number; preceding: number }> {
  const found = startsWith(search, NAMES);
  const upTo = place && rowsUpTo(NEWEST, { side: place.side, values: [place.id] });
  const row = await db.get<{ all: number; found: number; preceding: number }>(
    `SELECT COUNT(*) AS "all", ${countIf('is_found = 1')} AS found,
       ${upTo ? countIf(`is_found = 1 ${upTo.sql}`) : '0'} AS preceding
     FROM (SELECT id, CASE WHEN 1 = 1 ${found.sql} THEN 1 ELSE 0 END AS is_found
       FROM oauth_clients WHERE owner = ? AND ended_at IS NULL LIMIT ${SCAN_MAX}) owned`,
    [...(upTo?.params ?? []), ...found.params, owner],
  );
  return row!;
}

const NAMES = { name: 'name', id: 'id' };
const NEWEST: ListOrder = { keys: ['id'], isDescending: true };
