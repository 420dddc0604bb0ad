import type { ListSide } from '../lib/list-pages.ts';
import { CREDENTIAL_COLUMNS, type CredentialRow, NEWEST_KEYS, PERSONAL } from './credentials.ts';
import type { Db, Tx } from './engine/db.ts';
import { countIf, type Part, rowsBeside, rowsUpTo, SCAN_MAX, startsWith } from './pages.ts';

/**
 * Keys of a human's own, which belong to no agent. Lists find their ids in the index `credentials_personal` alone, and
 * read the rows of one page.
 */

/** Lists all personal keys of a human, newest first. */
export function listPersonalCredentials(db: Pick<Db, 'all'>, accountId: string): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.account_id = ? AND ${PERSONAL} ORDER BY c.id DESC`,
    [accountId],
  );
}

/** What a human's list of keys is narrowed to. */
export interface PersonalFilter {
  /** The start of a name, in any case, or of an id. */
  search: string | undefined;
  state: KeyState | undefined;
  /** Epoch ms: keys that expire by then have ended. */
  now: number;
}

export type KeyState = 'live' | 'ended';

/**
 * Lists a page of a human's personal keys, newest first.
 *
 * @param place where the page begins or ends; undefined: the first page
 * @param limit a constant of the program
 */
export function listPersonalPage(
  db: Pick<Db, 'all'>,
  accountId: string,
  filter: PersonalFilter,
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<CredentialRow[]> {
  const narrowed = narrowPersonal(filter);
  const { condition, orderBy } = rowsBeside(NEWEST_KEYS, place && { side: place.side, values: [place.id] });
  return db.all(
    `SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.id IN
       (SELECT c.id FROM credentials c WHERE c.account_id = ? AND ${PERSONAL}
          ${narrowed.sql}${condition.sql} ${orderBy} LIMIT ${limit}) ${orderBy}`,
    [accountId, ...narrowed.params, ...condition.params],
  );
}

/** How many personal keys a human has. */
export interface PersonalCounts extends Record<KeyState, number> {
  /** All keys, whatever is searched for. The states count those that are found. */
  all: number;
  /** Those before `place` in the list. */
  preceding: number;
}

/** Counts a human's personal keys by state, of those that are searched for, in one pass over SCAN_MAX keys at most. */
export async function countPersonal(
  db: Pick<Db, 'get'>,
  accountId: string,
  { search, state, now }: PersonalFilter,
  place: { side: ListSide; id: string } | undefined,
): Promise<PersonalCounts> {
  const found = startsWith(search, { name: 'c.name', id: 'c.id' });
  const order = { ...NEWEST_KEYS, keys: ['id'] };
  const upTo = place && rowsUpTo(order, { side: place.side, values: [place.id] });
  const row = await db.get<PersonalCounts>(
    `SELECT COUNT(*) AS "all", ${countIf(`is_found = 1 AND state = 'live'`)} AS live,
       ${countIf(`is_found = 1 AND state = 'ended'`)} AS ended,
       ${upTo ? countIf(`is_found = 1 ${state ? 'AND state = ?' : ''} ${upTo.sql}`) : '0'} AS preceding
     FROM (SELECT c.id, CASE WHEN 1 = 1 ${found.sql} THEN 1 ELSE 0 END AS is_found,
         CASE WHEN ${LIVE} THEN 'live' ELSE 'ended' END AS state
       FROM credentials c WHERE c.account_id = ? AND ${PERSONAL} LIMIT ${SCAN_MAX}) personal`,
    [...(upTo && state ? [state] : []), ...(upTo?.params ?? []), ...found.params, now, accountId],
  );
  return row!;
}

/** Lists live personal keys of a human that expire within a time, the first to expire first. */
export function listExpiringPersonal(
  db: Pick<Db, 'all'>,
  accountId: string,
  now: number,
  until: number,
  limit: number,
): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.id IN
       (SELECT c.id FROM credentials c WHERE c.account_id = ? AND ${PERSONAL}
          AND c.revoked_at IS NULL AND c.expires_at > ? AND c.expires_at < ? ORDER BY c.expires_at, c.id LIMIT ${limit})
     ORDER BY c.expires_at, c.id`,
    [accountId, now, until],
  );
}

function narrowPersonal({ search, state, now }: PersonalFilter): Part {
  const found = startsWith(search, { name: 'c.name', id: 'c.id' });
  if (state === undefined) return found;
  return { sql: ` AND ${state === 'live' ? '' : 'NOT '}${LIVE}${found.sql}`, params: [now, ...found.params] };
}

const LIVE = `(c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?))`;

export function updatePersonalCredentialsRevoked(tx: Tx, accountId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE credentials AS c SET revoked_at = ? WHERE account_id = ? AND ${PERSONAL} AND revoked_at IS NULL`,
    [now, accountId],
  );
}
