import type { Tx } from './engine/db.ts';

/** Statements on whole tables that run after a restore, before the service uses the database. */

/** What a restored database holds. */
export interface RestoredState {
  /** Time of the newest event of the audit log, epoch ms; null: there is none. */
  newestAt: number | null;
  /** Number of keys that are neither revoked nor expired. */
  keys: number;
}

/** Reads the time of the newest event and counts the keys that work at `now` (epoch ms). */
export async function findRestoredState(db: Pick<Tx, 'get'>, now: number): Promise<RestoredState> {
  const row = await db.get<RestoredState>(
    `SELECT (SELECT MAX(at) FROM events) AS "newestAt",
       (SELECT COUNT(*) FROM credentials
        WHERE kind <> 'token' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)) AS keys`,
    [now],
  );
  return row!;
}

/**
 * Ends all sessions, sign-ins, codes, connection requests and tokens, and deletes stored responses: any of them may
 * have ended or been used after the backup was made (S-109).
 */
export async function endShortLivedRows(tx: Tx, now: number): Promise<void> {
  const statements = [
    `UPDATE sessions SET ended_at = ? WHERE ended_at IS NULL`,
    `UPDATE sign_ins SET ended_at = ? WHERE ended_at IS NULL`,
    `UPDATE claim_attempts SET ended_at = ?, end_reason = 'revoked' WHERE ended_at IS NULL`,
    `UPDATE approvals SET decided_at = ? WHERE decided_at IS NULL`,
    `UPDATE permission_requests SET expires_at = ? WHERE decided_at IS NULL`,
    `UPDATE refresh_tokens SET ended_at = ? WHERE ended_at IS NULL`,
    `UPDATE credentials SET revoked_at = ? WHERE kind = 'token' AND revoked_at IS NULL`,
  ];
  for (const sql of statements) await tx.run(sql, [now]);
  await tx.run('DELETE FROM oauth_states'); // codes, refresh tokens, sessions and interactions
  await tx.run('DELETE FROM idempotency'); // stored responses contain codes and tokens
}

/** Finds which of these events the audit log already has. */
export async function findEventIds(db: Pick<Tx, 'all'>, ids: readonly string[]): Promise<Set<string>> {
  const placeholders = ids.map(() => '?').join(', ');
  const rows = await db.all<{ id: string }>(`SELECT id FROM events WHERE id IN (${placeholders})`, ids);
  return new Set(rows.map(({ id }) => id));
}
