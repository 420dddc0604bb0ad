import type { Tx } from './engine/db.ts';

/**
 * Takes one try from a live code. The guess is counted here, before anybody compares it: compared first, n guesses at once
 * would all be compared (S-08).
 *
 * @returns the tries used so far, or undefined when the code is dead
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
