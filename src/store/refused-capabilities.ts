import type { Db, Tx } from './engine/db.ts';

/** Stands in the column `agent_id` for every agent of the host. */
const ALL_AGENTS = '';

/** Records that a human refused a capability to an agent, and thereby to all agents of its host. */
export async function insertRefusedCapability(
  tx: Tx,
  hostId: string,
  agentId: string,
  capability: string,
  now: number,
): Promise<void> {
  for (const id of [agentId, ALL_AGENTS]) {
    await tx.run(
      `INSERT INTO refused_capabilities (host_id, agent_id, capability, refused_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (host_id, agent_id, capability) DO UPDATE SET refused_at = excluded.refused_at`,
      [hostId, id, capability, now],
    );
  }
}

/** Deletes a refusal after the human allowed the capability. Refusals by the ids of other agents of the host stay. */
export function deleteRefusedCapability(
  tx: Tx,
  hostId: string,
  agentId: string,
  capability: string,
): Promise<number> {
  return tx.run(
    'DELETE FROM refused_capabilities WHERE host_id = ? AND agent_id IN (?, ?) AND capability = ?',
    [hostId, agentId, ALL_AGENTS, capability],
  );
}

/** Lists the capabilities that were refused to an agent or to all agents of its host. */
export async function listRefusedCapabilities(
  db: Pick<Db, 'all'>,
  hostId: string,
  agentId: string,
): Promise<Set<string>> {
  const rows = await db.all<{ capability: string }>(
    'SELECT DISTINCT capability FROM refused_capabilities WHERE host_id = ? AND agent_id IN (?, ?)',
    [hostId, agentId, ALL_AGENTS],
  );
  return new Set(rows.map(({ capability }) => capability));
}
