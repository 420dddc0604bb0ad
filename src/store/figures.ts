import type { Db, Tx } from './engine/db.ts';
import { type EventRow, OF_RARE_KIND } from './events.ts';

/** Statements of figures for operators: each reads a bounded part of an index. */

/** Lists how many agents registered on days that are over, as far as they were counted. @param fromDay inclusive */
export async function listAgentDays(db: Pick<Db, 'all'>, fromDay: number): Promise<Map<number, number>> {
  const rows = await db.all<{ day: number; agents: number }>(
    'SELECT day, agents FROM agent_days WHERE day >= ?',
    [fromDay],
  );
  return new Map(rows.map(({ day, agents }) => [day, agents]));
}

/** Keeps the count of a day that is over, unless there is one. */
export async function insertAgentDay(tx: Tx, day: number, agents: number): Promise<void> {
  await tx.run('INSERT INTO agent_days (day, agents) VALUES (?, ?) ON CONFLICT DO NOTHING', [day, agents]);
}

/** Counts the agents whose ids are between two, the second exclusive, up to `max`. */
export async function countAgentsBetween(
  db: Pick<Db, 'get'>,
  fromId: string,
  toId: string,
  max: number,
): Promise<number> {
  const row = await db.get<{ count: number }>(
    'SELECT COUNT(*) AS count FROM (SELECT id FROM agents WHERE id >= ? AND id < ? LIMIT ?) a',
    [fromId, toId, max],
  );
  return row!.count;
}

/**
 * Counts the registrations whose approval was asked for, and those that were approved, by the newest events.
 *
 * @param fromId of an event, inclusive; `limit`: how many events at most
 */
export async function countApprovals(
  db: Pick<Db, 'get'>,
  fromId: string,
  limit: number,
): Promise<{ asked: number; approved: number }> {
  const row = await db.get<{ asked: number; approved: number }>(
    `SELECT COUNT(DISTINCT subject) AS asked,
       COUNT(DISTINCT CASE WHEN kind = 'claim.completed' THEN subject END) AS approved
     FROM (SELECT kind, subject FROM events WHERE kind IN ('claim.completed', 'claim.started') AND id >= ?
       ORDER BY id DESC LIMIT ?) e`,
    [fromId, limit],
  );
  return row!;
}

/** Lists the newest wrong codes and undelivered mails. @param fromId inclusive */
export function listAlarmingEvents(
  db: Pick<Db, 'all'>,
  fromId: string,
  limit: number,
): Promise<Pick<EventRow, 'at' | 'kind' | 'subject' | 'address'>[]> {
  return db.all(
    `SELECT at, kind, subject, address FROM events
     WHERE ${OF_RARE_KIND} AND kind IN ('claim.guess_failed', 'mail.dead', 'session.guess_failed') AND id >= ? ORDER BY id DESC LIMIT ?`,
    [fromId, limit],
  );
}

/** Notes that a job came to its end. */
export async function upsertJobMark(tx: Tx, name: string, now: number): Promise<void> {
  await tx.run(
    'INSERT INTO job_marks (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at',
    [name, now],
  );
}

/** Finds when a job last came to its end, epoch ms. */
export async function findJobMark(db: Pick<Db, 'get'>, name: string): Promise<number | undefined> {
  const row = await db.get<{ at: number }>('SELECT at FROM job_marks WHERE name = ?', [name]);
  return row?.at;
}
