import type { ListPlace } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { rowsBeside } from './pages.ts';
import { offersWorkspaces } from './workspaces.ts';

/** A browser session of an account. */
export interface SessionRow {
  /** SHA-256 of the secret in the cookie. */
  hash: Buffer;
  id: string;
  accountId: string;
  mailbox: string;
  /** The language that the account chose; null: none. */
  locale: string | null;
  /** The coarse network in which the session started. */
  origin: string;
  createdAt: number;
  seenAt: number;
  endedAt: number | null;
  /** 1: its mailbox is among the operators of the database. */
  isListedOperator: number;
  /** 1: its account is shown workspaces. */
  hasWorkspaces: number;
}

/** Inserts a session that starts now. */
export async function insertSession(
  tx: Tx,
  session: { hash: Buffer; id: string; accountId: string; origin: string; now: number },
): Promise<void> {
  const { hash, id, accountId, origin, now } = session;
  await tx.run(
    'INSERT INTO sessions (hash, id, account_id, origin, created_at, seen_at) VALUES (?, ?, ?, ?, ?, ?)',
    [hash, id, accountId, origin, now, now],
  );
}

/** Finds a session by the hash of its secret, whether it is active, expired or ended. */
export function findSessionByHash(db: Pick<Tx, 'get'>, hash: Buffer): Promise<SessionRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM sessions s WHERE s.hash = ?`, [hash]);
}

/**
 * Lists a page of an account's active sessions, used last first.
 *
 * @param after lower bounds, exclusive, epoch ms: `began` of the start, `seen` of the last use
 * @param exceptId a session that is left out
 * @param place where the page begins or ends; undefined: the first page
 * @param limit a constant of the program
 */
export function listSessionsPage(
  db: Pick<Db, 'all'>,
  accountId: string,
  after: { began: number; seen: number },
  exceptId: string,
  place: ListPlace<number> | undefined,
  limit: number,
): Promise<SessionRow[]> {
  const order = { keys: ['s.seen_at', 's.id'], isDescending: true };
  const { condition, orderBy } = rowsBeside(
    order,
    place && { side: place.side, values: [place.key, place.id] },
  );
  return db.all(
    `SELECT ${COLUMNS} FROM sessions s
     WHERE s.account_id = ? AND s.ended_at IS NULL AND s.created_at > ? AND s.seen_at > ? AND s.id <> ? ${condition.sql}
     ${orderBy} LIMIT ${limit}`,
    [accountId, after.began, after.seen, exceptId, ...condition.params],
  );
}

/** Lists the ids of all active sessions of an account. @param after as for listSessionsPage() */
export async function listLiveSessionIds(
  tx: Tx,
  accountId: string,
  after: { began: number; seen: number },
): Promise<string[]> {
  const rows = await tx.all<{ id: string }>(
    'SELECT id FROM sessions WHERE account_id = ? AND ended_at IS NULL AND created_at > ? AND seen_at > ? ORDER BY id',
    [accountId, after.began, after.seen],
  );
  return rows.map(({ id }) => id);
}

/** Records that an active session was used, unless a later use is recorded. Returns the number of rows changed. */
export function updateSessionSeen(tx: Tx, hash: Buffer, now: number): Promise<number> {
  return tx.run('UPDATE sessions SET seen_at = ? WHERE hash = ? AND seen_at < ? AND ended_at IS NULL', [
    now,
    hash,
    now,
  ]);
}

/** Whether the account has signed in from this network before, by the sessions that retention has not deleted yet. */
export async function hasSessionFrom(tx: Tx, accountId: string, origin: string): Promise<boolean> {
  const row = await tx.get<{ id: string }>(
    'SELECT id FROM sessions WHERE account_id = ? AND origin = ? LIMIT 1',
    [accountId, origin],
  );
  return row !== undefined;
}

/** Ends all sessions of an account; returns how many had not ended. */
export function updateSessionsOfAccountEnded(tx: Tx, accountId: string, now: number): Promise<number> {
  return tx.run('UPDATE sessions SET ended_at = ? WHERE account_id = ? AND ended_at IS NULL', [
    now,
    accountId,
  ]);
}

/** Ends a session of an account; returns 0 where the account has no such session or it has ended already. */
export function updateSessionEnded(tx: Tx, accountId: string, id: string, now: number): Promise<number> {
  return tx.run('UPDATE sessions SET ended_at = ? WHERE account_id = ? AND id = ? AND ended_at IS NULL', [
    now,
    accountId,
    id,
  ]);
}

const COLUMNS = `s.hash, s.id, s.account_id AS "accountId",
  (SELECT mailbox FROM accounts WHERE id = s.account_id) AS mailbox,
  (SELECT locale FROM accounts WHERE id = s.account_id) AS locale, s.origin, s.created_at AS "createdAt",
  s.seen_at AS "seenAt", s.ended_at AS "endedAt",
  (SELECT COUNT(*) FROM operators WHERE mailbox = (SELECT mailbox FROM accounts WHERE id = s.account_id)) AS "isListedOperator",
  ${offersWorkspaces('s.account_id')} AS "hasWorkspaces"`;
