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

/** Marks an agent that has places; the caller holds it. */
export function updateAgentPlaced(tx: Tx, agentId: string): Promise<number> {
  return tx.run('UPDATE agents SET placed = 1 WHERE id = ?', [agentId]);
}

/**
 * Lets the keys and tokens of an agent reach its places: those that came by claim. A key that an agent made has a name, which it
 * always had to give, and reaches none; nor does one from before the claim.
 */
export function updateCredentialsOfAgentPlaced(tx: Tx, agentId: string): Promise<number> {
  return tx.run(
    `UPDATE credentials SET placed = 2 WHERE agent_id = ? AND revoked_at IS NULL
       AND grants IS NULL AND (kind = 'token' OR (name IS NULL AND superseded_by IS NULL))`,
    [agentId],
  );
}

/** Clears the marks of an agent that has no place left, and of its keys and tokens. */
export async function updateAgentUnplaced(tx: Tx, agentId: string): Promise<void> {
  const cleared = await tx.run(
    `UPDATE agents SET placed = 0 WHERE id = ? AND placed = 1
       AND NOT EXISTS (SELECT 1 FROM places p WHERE p.holder = agents.id AND p.ended_at IS NULL)`,
    [agentId],
  );
  if (cleared === 0) return;
  await tx.run('UPDATE credentials SET placed = 0 WHERE agent_id = ? AND placed = 2', [agentId]);
}

/** A credential that reaches a workspace, and the API of one of its places there; null: every one. */
export interface PlacedHash {
  id: string;
  hash: Buffer;
  resources: string | null;
}

/**
 * Lists the keys and tokens that reach a workspace, or did until a moment ago, at each API, up to a limit.
 *
 * @param ended when those places ended that count, too: epoch ms, both inclusive
 */
export function listCredentialsPlacedIn(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  ended: { from: number; to: number },
  limit: number,
): Promise<PlacedHash[]> {
  const branches = [
    'c.id = h.holder',
    'c.agent_id = h.holder AND c.placed = 2',
    'c.oauth_grant = h.holder AND c.oauth_grant IS NOT NULL AND c.placed = 1',
    `c.agent_id = (SELECT g.agent_id FROM permission_grants g WHERE g.id = h.holder) AND ${IS_UNDER_GRANT}`,
    `c.account_id = (SELECT g.account_id FROM permission_grants g WHERE g.id = h.holder) AND c.agent_id IS NULL
       AND ${IS_UNDER_GRANT}`,
  ].flatMap((isHolders) =>
    [LIVE, ENDED].map(
      (places) => `SELECT c.id, c.hash, h.resource AS resources
        FROM (SELECT DISTINCT holder, resource FROM places WHERE ${places}) h JOIN credentials c ON ${isHolders}`,
    ),
  );
  const params = [workspaceId, workspaceId, ended.from, ended.to];
  return db.all(`${branches.join(' UNION ')} LIMIT ?`, [
    ...Array.from({ length: branches.length / 2 }, () => params).flat(),
    limit,
  ]);
}

/** Lists the APIs that have a place in a workspace, or had one until a moment ago; null: every one. */
export async function listResourcesPlacedIn(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  ended: { from: number; to: number },
): Promise<(string | null)[]> {
  const rows = await db.all<{ resource: string | null }>(
    `SELECT resource FROM places WHERE ${LIVE} AND ${IS_ACCESS}
     UNION SELECT resource FROM places WHERE ${ENDED} AND ${IS_ACCESS}
     UNION SELECT resource FROM trees WHERE workspace_id = ?
     UNION SELECT resource FROM nodes WHERE ended_at IS NOT NULL AND ended_at BETWEEN ? AND ? AND workspace_id = ?`,
    [workspaceId, workspaceId, ended.from, ended.to, workspaceId, ended.from, ended.to, workspaceId],
  );
  return rows.map(({ resource }) => resource);
}

/** Lists the APIs at which a key or a consent has, or had, its places; null: every one. */
export async function listResourcesOfHolder(db: Pick<Tx, 'all'>, holder: string): Promise<(string | null)[]> {
  const rows = await db.all<{ resource: string | null }>(
    'SELECT DISTINCT resource FROM places WHERE holder = ?',
    [holder],
  );
  return rows.map(({ resource }) => resource);
}

/** Whether a token was got under the grant that holds a place `h`. */
const IS_UNDER_GRANT = `c.grants IS NOT NULL AND c.grants LIKE '%' || h.holder || '%'`;
const LIVE = 'workspace_id = ? AND ended_at IS NULL';
const ENDED = 'workspace_id = ? AND ended_at IS NOT NULL AND ended_at BETWEEN ? AND ?';
/** What bounds a client gives it nothing. */
const IS_ACCESS = `holder NOT LIKE 'cli~_%' ESCAPE '~'`;
