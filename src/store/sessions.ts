import type { Db, Tx } from './engine/db.ts';

export interface SessionRow {
  hash: Buffer;
  id: string;
  accountId: string;
  mailbox: string;
  /** The coarse network it was begun from. */
  origin: string;
  createdAt: number;
  seenAt: number;
  endedAt: number | null;
}

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

export function findSessionByHash(db: Pick<Tx, 'get'>, hash: Buffer): Promise<SessionRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM sessions s WHERE s.hash = ?`, [hash]);
}

/**
 * A page of the sessions of an account that live, newest first.
 *
 * @param after began after `began` and were seen after `seen`, epoch ms
 */
export function listSessionsPage(
  db: Pick<Db, 'all'>,
  accountId: string,
  after: { began: number; seen: number },
  before: { createdAt: number; id: string } | undefined,
  limit: number,
): Promise<SessionRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM sessions s
     WHERE s.account_id = ? AND s.ended_at IS NULL AND s.created_at > ? AND s.seen_at > ? AND (s.created_at, s.id) < (?, ?)
     ORDER BY s.created_at DESC, s.id DESC LIMIT ?`,
    [
      accountId,
      after.began,
      after.seen,
      before?.createdAt ?? Number.MAX_SAFE_INTEGER,
      before?.id ?? '~',
      limit,
    ],
  );
}

export function updateSessionSeen(tx: Tx, hash: Buffer, now: number): Promise<number> {
  return tx.run('UPDATE sessions SET seen_at = ? WHERE hash = ? AND seen_at < ? AND ended_at IS NULL', [
    now,
    hash,
    now,
  ]);
}

/** Whether an account was signed in to from a network before, as far as is remembered. */
export async function hasSessionFrom(tx: Tx, accountId: string, origin: string): Promise<boolean> {
  const row = await tx.get<{ id: string }>(
    'SELECT id FROM sessions WHERE account_id = ? AND origin = ? LIMIT 1',
    [accountId, origin],
  );
  return row !== undefined;
}

export function updateSessionsOfAccountEnded(tx: Tx, accountId: string, now: number): Promise<number> {
  return tx.run('UPDATE sessions SET ended_at = ? WHERE account_id = ? AND ended_at IS NULL', [
    now,
    accountId,
  ]);
}

/** Ends one session of an account, if it was not; returns how many that were. */
export function updateSessionEnded(tx: Tx, accountId: string, id: string, now: number): Promise<number> {
  return tx.run('UPDATE sessions SET ended_at = ? WHERE account_id = ? AND id = ? AND ended_at IS NULL', [
    now,
    accountId,
    id,
  ]);
}

const COLUMNS = `s.hash, s.id, s.account_id AS "accountId",
  (SELECT mailbox FROM accounts WHERE id = s.account_id) AS mailbox, s.origin, s.created_at AS "createdAt",
  s.seen_at AS "seenAt", s.ended_at AS "endedAt"`;
