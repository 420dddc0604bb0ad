import type { Db } from './engine/db.ts';

/** Statements by which operators look through the accounts of humans, newest first. */

/** A human's account with what its line in a list says. */
export interface FoundAccountRow {
  id: string;
  kind: 'human' | 'agent';
  mailbox: string | null;
  parentId: string | null;
  createdAt: number;
  endedAt: number | null;
  /** When one of its sessions was last used; null: none is kept. */
  seenAt: number | null;
  /** When its authenticator was added; null: it has none. */
  authenticatorAt: number | null;
}

/**
 * Lists humans' accounts before an id, newest first.
 *
 * @param range ids from `fromId` to `toId`, both inclusive, and before `before`, exclusive
 */
export function listHumansFound(
  db: Pick<Db, 'all'>,
  { fromId, toId, before }: { fromId: string; toId: string; before: string },
  limit: number,
): Promise<FoundAccountRow[]> {
  return db.all(
    `${FOUND} WHERE a.kind = 'human' AND a.id >= ? AND a.id <= ? AND a.id < ? ORDER BY a.id DESC LIMIT ?`,
    [fromId, toId, before, limit],
  );
}

/** Finds the account of a canonical mailbox. */
export function findAccountFoundByMailbox(
  db: Pick<Db, 'get'>,
  mailbox: string,
): Promise<FoundAccountRow | undefined> {
  return db.get(`${FOUND} WHERE a.mailbox = ?`, [mailbox]);
}

/** Finds an account, of a human or an agent. */
export function findAccountFound(db: Pick<Db, 'get'>, id: string): Promise<FoundAccountRow | undefined> {
  return db.get(`${FOUND} WHERE a.id = ?`, [id]);
}

/** Counts the accounts of humans that have not ended, up to `max`. */
export async function countHumans(db: Pick<Db, 'get'>, fromId: string, max: number): Promise<number> {
  const row = await db.get<{ count: number }>(
    `SELECT COUNT(*) AS count FROM (SELECT id FROM accounts WHERE kind = 'human' AND id >= ? LIMIT ?) a`,
    [fromId, max],
  );
  return row!.count;
}

/** What an account has: agents, keys, connected apps, and sessions that have not ended, each counted up to `max`. */
export async function countBelongings(
  db: Pick<Db, 'get'>,
  id: string,
  after: { now: number; began: number; seen: number },
  max: number,
): Promise<{ agents: number; keys: number; apps: number; sessions: number }> {
  const row = await db.get<{ agents: number; keys: number; apps: number; sessions: number }>(
    `SELECT
       (SELECT COUNT(*) FROM (SELECT 1 AS one FROM agents
          WHERE account_id IN (SELECT ? UNION ALL SELECT id FROM accounts WHERE parent_id = ?) LIMIT ?) a) AS agents,
       (SELECT COUNT(*) FROM (SELECT 1 AS one FROM credentials
          WHERE account_id = ? AND kind = 'key' AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > ?) LIMIT ?) k) AS keys,
       (SELECT COUNT(*) FROM (SELECT 1 AS one FROM oauth_grants
          WHERE account_id = ? AND revoked_at IS NULL AND expires_at > ? LIMIT ?) g) AS apps,
       (SELECT COUNT(*) FROM (SELECT 1 AS one FROM sessions
          WHERE account_id = ? AND ended_at IS NULL AND created_at > ? AND seen_at > ? LIMIT ?) s) AS sessions`,
    [id, id, max, id, after.now, max, id, after.now, max, id, after.began, after.seen, max],
  );
  return row!;
}

const FOUND = `SELECT a.id, a.kind, a.mailbox, a.parent_id AS "parentId", a.created_at AS "createdAt", a.ended_at AS "endedAt",
  (SELECT MAX(seen_at) FROM sessions WHERE account_id = a.id) AS "seenAt",
  (SELECT created_at FROM authenticators WHERE account_id = a.id) AS "authenticatorAt" FROM accounts a`;
