import type { Tx } from './engine/db.ts';

/**
 * Consumes one unit of a counter unless its window is exhausted. The condition is part of the statement: if it were
 * read first and written afterwards, n concurrent requests could each pass it.
 *
 * @returns `won`: whether it consumed one; how many units are used; when the window ends (epoch ms)
 */
export async function incrementCounter(
  tx: Tx,
  key: string,
  max: number,
  windowMs: number,
  now: number,
): Promise<{ won: boolean; used: number; endsAt: number }> {
  // Nearly always a window is open. This statement does not write `ends_at`, so the index on it stays as it is.
  const counted = await tx.get<{ used: number; endsAt: number }>(
    `UPDATE counters SET used = used + 1 WHERE key = ? AND ends_at > ? AND used < ? RETURNING ${COLUMNS}`,
    [key, now, max],
  );
  if (counted) return { won: true, ...counted };
  const started = await tx.get<{ used: number; endsAt: number }>(
    `INSERT INTO counters (key, used, ends_at) VALUES (?, 1, ?)
     ON CONFLICT (key) DO UPDATE SET
       used = CASE WHEN counters.ends_at <= ? THEN 1 ELSE counters.used + 1 END,
       ends_at = CASE WHEN counters.ends_at <= ? THEN excluded.ends_at ELSE counters.ends_at END
     WHERE counters.ends_at <= ? OR counters.used < ?
     RETURNING ${COLUMNS}`,
    [key, now + windowMs, now, now, now, max],
  );
  if (started) return { won: true, ...started };
  const exhausted = await findCounter(tx, key);
  return { won: false, used: exhausted?.used ?? max, endsAt: exhausted?.endsAt ?? now + windowMs };
}

/**
 * Consumes up to `wanted` units of a counter, as many as its window has left.
 *
 * @returns `taken`: how many it consumed; how many are used now; when the window ends (epoch ms)
 */
export async function incrementCounters(
  tx: Tx,
  key: string,
  wanted: number,
  max: number,
  windowMs: number,
  now: number,
): Promise<{ taken: number; used: number; endsAt: number }> {
  const all = await tx.get<{ used: number; endsAt: number }>(
    `UPDATE counters SET used = used + ? WHERE key = ? AND ends_at > ? AND used + ? <= ? RETURNING ${COLUMNS}`,
    [wanted, key, now, wanted, max],
  );
  if (all) return { taken: wanted, ...all };
  // No window is open, or it does not have that many left.
  const { won, ...one } = await incrementCounter(tx, key, max, windowMs, now);
  if (!won || wanted === 1) return { taken: won ? 1 : 0, ...one };
  const rest = await incrementCounters(tx, key, wanted - 1, max, windowMs, now);
  return { ...rest, taken: rest.taken + 1 };
}

/** Refunds one unit to a counter. */
export async function decrementCounter(tx: Tx, key: string): Promise<void> {
  await tx.run('UPDATE counters SET used = used - 1 WHERE key = ? AND used > 0', [key]);
}

/** Refunds `count` units to the window that ends at `endsAt`; a refund to a later window would raise its maximum. */
export async function refundCounter(tx: Tx, key: string, endsAt: number, count: number): Promise<void> {
  await tx.run('UPDATE counters SET used = used - ? WHERE key = ? AND ends_at = ? AND used >= ?', [
    count,
    key,
    endsAt,
    count,
  ]);
}

/** Finds how much of a counter is used and when its window ends, which may be in the past. */
export function findCounter(
  db: Pick<Tx, 'get'>,
  key: string,
): Promise<{ used: number; endsAt: number } | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM counters WHERE key = ?`, [key]);
}

const COLUMNS = 'used, ends_at AS "endsAt"';
