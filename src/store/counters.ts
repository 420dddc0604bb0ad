import type { Tx } from './engine/db.ts';

/**
 * Takes one from a counter if its window still holds one. The condition stands in the statement itself: were it read first
 * and written after, n requests at once would spend n times.
 *
 * @returns whether it won, how many are used and when the window ends (epoch ms)
 */
export async function incrementCounter(
  tx: Tx,
  key: string,
  max: number,
  windowMs: number,
  now: number,
): Promise<{ won: boolean; used: number; endsAt: number }> {
  // Nearly always the window has begun; this leaves alone the index by its end, which the other statement writes anew.
  const counted = await tx.get<{ used: number; endsAt: number }>(
    `UPDATE counters SET used = used + 1 WHERE key = ? AND ends_at > ? AND used < ? RETURNING ${STANDING}`,
    [key, now, max],
  );
  if (counted) return { won: true, ...counted };
  const begun = await tx.get<{ used: number; endsAt: number }>(
    `INSERT INTO counters (key, used, ends_at) VALUES (?, 1, ?)
     ON CONFLICT (key) DO UPDATE SET
       used = CASE WHEN counters.ends_at <= ? THEN 1 ELSE counters.used + 1 END,
       ends_at = CASE WHEN counters.ends_at <= ? THEN excluded.ends_at ELSE counters.ends_at END
     WHERE counters.ends_at <= ? OR counters.used < ?
     RETURNING ${STANDING}`,
    [key, now + windowMs, now, now, now, max],
  );
  if (begun) return { won: true, ...begun };
  const spent = await findCounter(tx, key);
  return { won: false, used: spent?.used ?? max, endsAt: spent?.endsAt ?? now + windowMs };
}

/**
 * Takes several from a counter, as many as its window still holds.
 *
 * @returns how many it took, how many are used then and when the window ends (epoch ms)
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
    `UPDATE counters SET used = used + ? WHERE key = ? AND ends_at > ? AND used + ? <= ? RETURNING ${STANDING}`,
    [wanted, key, now, wanted, max],
  );
  if (all) return { taken: wanted, ...all };
  // The window is to begin, or does not hold all of them.
  const { won, ...one } = await incrementCounter(tx, key, max, windowMs, now);
  if (!won || wanted === 1) return { taken: won ? 1 : 0, ...one };
  const rest = await incrementCounters(tx, key, wanted - 1, max, windowMs, now);
  return { ...rest, taken: rest.taken + 1 };
}

export async function decrementCounter(tx: Tx, key: string): Promise<void> {
  await tx.run('UPDATE counters SET used = used - 1 WHERE key = ? AND used > 0', [key]);
}

/** Gives back to a window what was taken from it; to the next one nothing, which would then let more through than it holds. */
export async function refundCounter(tx: Tx, key: string, endsAt: number, count: number): Promise<void> {
  await tx.run('UPDATE counters SET used = used - ? WHERE key = ? AND ends_at = ? AND used >= ?', [
    count,
    key,
    endsAt,
    count,
  ]);
}

export function findCounter(
  db: Pick<Tx, 'get'>,
  key: string,
): Promise<{ used: number; endsAt: number } | undefined> {
  return db.get(`SELECT ${STANDING} FROM counters WHERE key = ?`, [key]);
}

const STANDING = 'used, ends_at AS "endsAt"';
