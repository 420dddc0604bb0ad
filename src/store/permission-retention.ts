import { createDeletion } from './deletions.ts';
import type { Tx } from './engine/db.ts';

/** How session keys, permission requests and grants that are over are deleted. */

/** Deletes the session keys of an agent, what it asked for and what it was granted. */
export function deletePermissionsOfAgent(tx: Tx, agentId: string): Promise<unknown>[] {
  return [
    tx.run(
      `DELETE FROM places WHERE holder IN
         (SELECT id FROM permission_grants WHERE agent_id = ? AND agent_id IS NOT NULL)`,
      [agentId],
    ),
    tx.run('DELETE FROM permission_grants WHERE agent_id = ? AND agent_id IS NOT NULL', [agentId]),
    tx.run('DELETE FROM permission_requests WHERE agent_id = ? AND agent_id IS NOT NULL', [agentId]),
    tx.run('DELETE FROM session_keys WHERE agent_id = ? AND agent_id IS NOT NULL', [agentId]),
  ];
}

/** Deletes session keys that ended. */
export const deleteEndedSessionKeys = createDeletion(
  'session_keys',
  'thumbprint',
  'ended_at IS NOT NULL AND ended_at <= ?',
  'ended_at',
);

/** Deletes session keys of terminals whose time is over. */
export const deleteExpiredSessionKeys = createDeletion(
  'session_keys',
  'thumbprint',
  'expires_at IS NOT NULL AND expires_at <= ?',
  'expires_at',
);

/** Deletes permission requests whose answer is told no more. */
export const deleteOldPermissionRequests = createDeletion(
  'permission_requests',
  'id',
  'expires_at <= ?',
  'expires_at',
);

/** Deletes permission grants that expired, with their places. */
export async function deleteExpiredPermissionGrants(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx.all<{ id: string }>(
    'SELECT id FROM permission_grants WHERE expires_at <= ? ORDER BY expires_at LIMIT ?',
    [before, limit],
  );
  for (const { id } of rows) {
    await tx.run('DELETE FROM places WHERE holder = ?', [id]);
    await tx.run('DELETE FROM permission_grants WHERE id = ?', [id]);
  }
  return rows.length;
}
