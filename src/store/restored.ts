import type { Tx } from './engine/db.ts';

/** What is asked of a database that was just put in the place of another, before anybody works on it: whole tables at once. */

/** What a restored database begins with. */
export interface RestoredState {
  /** Of the newest audit line, epoch ms. */
  newestAt: number | null;
  /** Keys that work. */
  keys: number;
}

export async function findRestoredState(db: Pick<Tx, 'get'>, now: number): Promise<RestoredState> {
  const row = await db.get<RestoredState>(
    `SELECT (SELECT MAX(at) FROM events) AS "newestAt",
       (SELECT COUNT(*) FROM credentials
        WHERE kind = 'key' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)) AS keys`,
    [now],
  );
  return row!;
}

/** Ends what lives for a moment, and may have been ended, or used up, since the backup was made (S-109). */
export async function updateShortLivedEnded(tx: Tx, now: number): Promise<void> {
  const ends = [
    `UPDATE sessions SET ended_at = ? WHERE ended_at IS NULL`,
    `UPDATE sign_ins SET ended_at = ? WHERE ended_at IS NULL`,
    `UPDATE claim_attempts SET ended_at = ?, end_reason = 'revoked' WHERE ended_at IS NULL`,
    `UPDATE approvals SET decided_at = ? WHERE decided_at IS NULL`,
    `UPDATE refresh_tokens SET ended_at = ? WHERE ended_at IS NULL`,
    `UPDATE credentials SET revoked_at = ? WHERE kind = 'token' AND revoked_at IS NULL`,
  ];
  for (const sql of ends) await tx.run(sql, [now]);
  await tx.run('DELETE FROM idempotency'); // their answers hold codes and tokens
}

/** Which of some audit lines are in the database already. */
export async function findEventIds(db: Pick<Tx, 'all'>, ids: readonly string[]): Promise<Set<string>> {
  const marks = ids.map(() => '?').join(', ');
  const rows = await db.all<{ id: string }>(`SELECT id FROM events WHERE id IN (${marks})`, ids);
  return new Set(rows.map(({ id }) => id));
}
