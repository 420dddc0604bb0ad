import type { Tx } from './engine/db.ts';

/** Keys that a newer key of the same agent replaces: rows of `credentials`. */

/** Sets an expiry for the agent's active credentials, unless they expire sooner, and records their successor. */
export function updateCredentialsSuperseded(
  tx: Tx,
  agentId: string,
  successorId: string,
  expiresAt: number,
): Promise<number> {
  return tx.run(
    `UPDATE credentials SET superseded_by = ?,
       expires_at = CASE WHEN expires_at IS NULL OR expires_at > ? THEN ? ELSE expires_at END
     WHERE agent_id = ? AND id <> ? AND revoked_at IS NULL`,
    [successorId, expiresAt, expiresAt, agentId, successorId],
  );
}

/** Revokes the keys that `successorId` superseded; called at the successor's first use. */
export function updateSupersededRevoked(
  tx: Tx,
  agentId: string,
  successorId: string,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ? WHERE agent_id = ? AND superseded_by = ? AND revoked_at IS NULL`,
    [now, agentId, successorId],
  );
}

/** Records the first use of a key that supersedes others; of concurrent calls, one returns 1. */
export function updateCredentialFirstUsed(tx: Tx, hash: Buffer): Promise<number> {
  return tx.run('UPDATE credentials SET retires_others = 0 WHERE hash = ? AND retires_others = 1', [hash]);
}
