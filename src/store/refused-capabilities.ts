import type { Db, Tx } from './engine/db.ts';

/** Every agent of a host, in the place of the id of one. */
const ALL_AGENTS = '';

/** Remembers that a capability was refused to an agent, and with it to all agents of its host. */
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

/** Forgets it, since it was allowed: what other agents of the host were refused in person stays refused to them. */
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

/** The names of what was refused to an agent or to all agents of its host. */
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
