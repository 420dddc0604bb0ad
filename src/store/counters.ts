import type { Tx } from './db.ts';

/**
 * Takes one from a counter if its window still holds one. The condition stands in the statement itself: were it read first
 * and written after, n requests at once would spend n times.
 *
 * @returns whether it won, how many are used and when the window ends (epoch ms)
 */
export async function spendOne(
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
  const spent = await readCounter(tx, key);
  return { won: false, used: spent?.used ?? max, endsAt: spent?.endsAt ?? now + windowMs };
}

export async function giveBack(tx: Tx, key: string): Promise<void> {
  await tx.run('UPDATE counters SET used = used - 1 WHERE key = ? AND used > 0', [key]);
}

export function readCounter(
  db: Pick<Tx, 'get'>,
  key: string,
): Promise<{ used: number; endsAt: number } | undefined> {
  return db.get(`SELECT ${STANDING} FROM counters WHERE key = ?`, [key]);
}

const STANDING = 'used, ends_at AS "endsAt"';
