import type { Tx } from './engine/db.ts';

/** The latest time that a service on this database has known, epoch ms. */
export async function findClockMark(db: Pick<Tx, 'get'>): Promise<number | undefined> {
  return (await db.get<{ at: number }>('SELECT at FROM clock_mark WHERE id = 1'))?.at;
}

/** @param lowers whether time was set back: otherwise another service may have known a later one */
export async function upsertClockMark(tx: Tx, at: number, lowers: boolean): Promise<void> {
  await tx.run(
    `INSERT INTO clock_mark (id, at) VALUES (1, ?)
     ON CONFLICT (id) DO UPDATE SET at = excluded.at ${lowers ? '' : 'WHERE clock_mark.at < excluded.at'}`,
    [at],
  );
}

/**
 * Ends the codes of a table that were over at a time, up to `limit` rows on from an id.
 *
 * @returns the id to go on from; undefined: that was all
 */
export async function endCodesBefore(
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
