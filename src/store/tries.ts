import type { Tx } from './engine/db.ts';

/**
 * Counts one guess at an active code, before the caller compares it. Compared first, n concurrent guesses would all be
 * compared (S-08).
 *
 * @returns the guesses counted so far; undefined: the code was replaced, has ended or expired, or its tries are
 * exhausted
 */
export async function incrementTries(
  tx: Tx,
  table: 'claim_attempts' | 'sign_ins',
  code: { id: string; counter: number },
  triesMax: number,
  now: number,
): Promise<number | undefined> {
  const row = await tx.get<{ tries: number }>(
    `UPDATE ${table} SET tries = tries + 1
     WHERE id = ? AND counter = ? AND ended_at IS NULL AND tries < ? AND code_expires_at > ?
     RETURNING tries`,
    [code.id, code.counter, triesMax, now],
  );
  return row?.tries;
}
