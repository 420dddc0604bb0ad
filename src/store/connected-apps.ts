import type { ListPlace } from '../lib/list-pages.ts';
import type { Db } from './engine/db.ts';
import type { OAuthClientRow } from './oauth-clients.ts';
import type { OAuthGrantRow } from './oauth-grants.ts';
import { countIf, type ListOrder, type Part, rowsBeside, rowsUpTo, SCAN_MAX, startsWith } from './pages.ts';

/** The apps that an account let use it: rows of `oauth_grants` that work, each with its client. */

/** A grant with the client that has it. */
export interface ConnectedAppRow
  extends Pick<
    OAuthGrantRow,
    | 'id'
    | 'clientId'
    | 'resource'
    | 'scope'
    | 'openidScope'
    | 'createdAt'
    | 'expiresAt'
    | 'usedAt'
    | 'usedFrom'
    | 'principal'
  > {
  name: string | null;
  origin: OAuthClientRow['origin'];
  /** JSON. */
  metadata: string;
}

/** What a list of connected apps is narrowed to. */
export interface ConnectedAppFilter {
  /** The start of the name of a client, in any case, or of its id. */
  search: string | undefined;
  /** Epoch ms: grants that expire by then are not listed. */
  now: number;
}

/**
 * Lists a page of the apps that an account let use it, last used first.
 *
 * @param place where the page begins or ends; undefined: the first page
 * @param limit a constant of the program
 */
export function listConnectedPage(
  db: Pick<Db, 'all'>,
  accountId: string,
  { search, now }: ConnectedAppFilter,
  place: ListPlace<number> | undefined,
  limit: number,
): Promise<ConnectedAppRow[]> {
  const found = startsWith(search, CLIENT_NAMES);
  const { condition, orderBy } = rowsBeside(
    LAST_USED,
    place && { side: place.side, values: [place.key, place.id] },
  );
  return db.all(`${SELECTED} WHERE ${LIVE}${found.sql}${condition.sql} ${orderBy} LIMIT ${limit}`, [
    accountId,
    now,
    ...found.params,
    ...condition.params,
  ]);
}

/** Counts the apps that an account let use it: all, those found, and those before a place. SCAN_MAX at most are looked at. */
export async function countConnected(
  db: Pick<Db, 'get'>,
  accountId: string,
  { search, now }: ConnectedAppFilter,
  place: ListPlace<number> | undefined,
): Promise<{ all: number; found: number; preceding: number }> {
  const found = startsWith(search, CLIENT_NAMES);
  const upTo: Part | undefined =
    place &&
    rowsUpTo({ ...LAST_USED, keys: ['used', 'id'] }, { side: place.side, values: [place.key, place.id] });
  const row = await db.get<{ all: number; found: number; preceding: number }>(
    `SELECT COUNT(*) AS "all", ${countIf('is_found = 1')} AS found,
       ${upTo ? countIf(`is_found = 1 ${upTo.sql}`) : '0'} AS preceding
     FROM (SELECT g.id, COALESCE(g.used_at, 0) AS used, CASE WHEN 1 = 1 ${found.sql} THEN 1 ELSE 0 END AS is_found
       FROM oauth_grants g JOIN oauth_clients c ON c.id = g.client_id WHERE ${LIVE} LIMIT ${SCAN_MAX}) connected`,
    [...(upTo?.params ?? []), ...found.params, accountId, now],
  );
  return row!;
}

/** Finds one app that an account let use it; undefined also for that of another account, and for one that has ended. */
export function findConnected(
  db: Pick<Db, 'get'>,
  accountId: string,
  id: string,
  now: number,
): Promise<ConnectedAppRow | undefined> {
  return db.get(`${SELECTED} WHERE ${LIVE} AND g.id = ?`, [accountId, now, id]);
}

const CLIENT_NAMES = { name: 'c.name', id: 'c.id' };
const LAST_USED: ListOrder = { keys: ['COALESCE(g.used_at, 0)', 'g.id'], isDescending: true };
const LIVE = 'g.account_id = ? AND g.revoked_at IS NULL AND g.expires_at > ?';
const COLUMNS = `g.id, g.client_id AS "clientId", g.resource, g.scope, g.openid_scope AS "openidScope",
  g.created_at AS "createdAt", g.expires_at AS "expiresAt", g.used_at AS "usedAt", g.used_from AS "usedFrom",
  g.principal, c.name, c.origin, c.metadata`;
const JOINED = 'FROM oauth_grants g JOIN oauth_clients c ON c.id = g.client_id';
const SELECTED = `SELECT ${COLUMNS} ${JOINED}`;
