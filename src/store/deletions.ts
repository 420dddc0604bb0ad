import type { Tx } from './engine/db.ts';

/** How rows that ended are deleted, a batch at a time. */

/** Deletes at most `limit` rows that ended at or before `before` (epoch ms); returns how many. */
type Deletion = (tx: Tx, before: number, limit: number) => Promise<number>;

/**
 * @param condition says whether a row has ended, with one `?` for the time
 * @param order the indexed column that the condition compares: in any other order the statement reads every row that
 * has not ended
 */
export function createDeletion(table: string, key: string, condition: string, order: string): Deletion {
  const sql = `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${condition} ORDER BY ${order} LIMIT ?)`;
  return (tx, before, limit) => tx.run(sql, [before, limit]);
}
