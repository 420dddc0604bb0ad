import type { Tx } from './engine/db.ts';

/** Finds the latest time that a service on this database has recorded, epoch ms; undefined: none has. */
export async function findClockMark(db: Pick<Tx, 'get'>): Promise<number | undefined> {
  return (await db.get<{ at: number }>('SELECT at FROM clock_mark WHERE id = 1'))?.at;
}

/**
 * Records the time of the service's clock.
 *
 * @param at epoch ms
 * @param isSetBack whether the clock was set back: only then an earlier time replaces a later one, which may be that of
 * another service
 */
export async function upsertClockMark(tx: Tx, at: number, isSetBack: boolean): Promise<void> {
  await tx.run(
    `INSERT INTO clock_mark (id, at) VALUES (1, ?)
     ON CONFLICT (id) DO UPDATE SET at = excluded.at ${isSetBack ? '' : 'WHERE clock_mark.at < excluded.at'}`,
    [at],
  );
}

/**
 * Marks codes that had expired at a time as expired at any time, so that they stay expired when the clock is set back.
 * One call covers up to `limit` rows after an id.
 *
 * @param past epoch ms
 * @returns the id to continue from; undefined: no rows are left
 */
export async function updateCodesEndedBefore(
  tx: Tx,
  table: 'claim_attempts' | 'sign_ins',
  past: number,
  after: string,
  limit: number,
): Promise<string | undefined> {
  const rows = await tx.all<{ id: string }>(`SELECT id FROM ${table} WHERE id > ? ORDER BY id LIMIT ?`, [
    after,
    limit,
  ]);
  const last = rows.at(-1)?.id;
  if (last === undefined) return undefined;
  await tx.run(
    `UPDATE ${table} SET code_expires_at = 0 WHERE id > ? AND id <= ? AND code_expires_at BETWEEN 1 AND ?`,
    [after, last, past],
  );
  return rows.length < limit ? undefined : last;
}
