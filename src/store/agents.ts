import type { Db, Tx } from './db.ts';

export interface AgentRow {
  id: string;
  accountId: string;
  mergedFrom: string | null;
  registrationId: string;
  name: string | null;
  createdAt: number;
  revokedAt: number | null;
}

export async function insertAgent(
  tx: Tx,
  agent: { id: string; accountId: string; registrationId: string; name: string | null; now: number },
): Promise<void> {
  await tx.run(
    'INSERT INTO agents (id, account_id, registration_id, name, created_at) VALUES (?, ?, ?, ?, ?)',
    [agent.id, agent.accountId, agent.registrationId, agent.name, agent.now],
  );
}

export function findAgent(db: Pick<Tx, 'get'>, id: string): Promise<AgentRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM agents WHERE id = ?`, [id]);
}

/** Moves an agent into another account, remembering the one it leaves; only if it still is where it was. */
export function moveAgent(tx: Tx, id: string, from: string, to: string): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = account_id
     WHERE id = ? AND account_id = ? AND revoked_at IS NULL`,
    [to, id, from],
  );
}

export function revokeAgent(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE agents SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/** Agents after an id, oldest first. */
export function listAgents(db: Pick<Db, 'all'>, after: string, limit: number): Promise<AgentRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM agents WHERE id > ? ORDER BY id LIMIT ?`, [after, limit]);
}

const COLUMNS = `id, account_id AS "accountId", merged_from AS "mergedFrom", registration_id AS "registrationId",
  name, created_at AS "createdAt", revoked_at AS "revokedAt"`;
