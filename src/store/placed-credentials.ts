import type { Tx } from './engine/db.ts';

/** Keys that work in their places alone: `credentials.placed` is 1. */

/** Locks a key, so that of two transactions that end its places the later one sees what the earlier one ended. */
export function lockPlacedCredential(tx: Tx, id: string): Promise<number> {
  return tx.run('UPDATE credentials SET placed = placed WHERE id = ? AND placed = 1', [id]);
}

/** Revokes a key that has no place left. @returns 0 if it has one, or is no such key */
export function updatePlacedCredentialRevoked(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ? WHERE id = ? AND placed = 1 AND revoked_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM places p WHERE p.holder = credentials.id AND p.ended_at IS NULL
         AND (p.expires_at IS NULL OR p.expires_at > ?))`,
    [now, id, now],
  );
}

/** Clears the mark of an agent that has no place left. */
export function updateAgentUnplaced(tx: Tx, agentId: string): Promise<number> {
  return tx.run(
    `UPDATE agents SET placed = 0 WHERE id = ? AND placed = 1
       AND NOT EXISTS (SELECT 1 FROM places p WHERE p.holder = agents.id AND p.ended_at IS NULL)`,
    [agentId],
  );
}
