import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** The modes of the Agent Auth Protocol: an agent acts for a human, or for itself. */
export type AgentMode = 'delegated' | 'autonomous';

/** An agent under a host. Once it is active, `agents` has a row with the same id. */
export interface HostedAgentRow {
  id: string;
  hostId: string;
  mode: AgentMode;
  name: string;
  thumbprint: string;
  publicJwk: string;
  createdAt: number;
  /** When it was last activated; null: it is pending. */
  activatedAt: number | null;
  /** When it last signed a request. */
  seenAt: number | null;
  endedAt: number | null;
  endReason: 'revoked' | 'rejected' | 'claimed' | null;
  /** When the row of `agents` was revoked. */
  agentRevokedAt: number | null;
  /** The scopes to which its owner restricted it; null: no restriction. */
  agentScope: string | null;
}

export async function insertHostedAgent(
  tx: Tx,
  agent: Pick<
    HostedAgentRow,
    'id' | 'hostId' | 'mode' | 'name' | 'thumbprint' | 'publicJwk' | 'activatedAt'
  > & { now: number },
): Promise<void> {
  await tx.run(
    `INSERT INTO hosted_agents (id, host_id, mode, name, thumbprint, public_jwk, created_at, activated_at, seen_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      agent.id,
      agent.hostId,
      agent.mode,
      agent.name,
      agent.thumbprint,
      agent.publicJwk,
      agent.now,
      agent.activatedAt,
      agent.activatedAt,
    ],
  );
}

export function findHostedAgent(db: Pick<Tx, 'get'>, id: string): Promise<HostedAgentRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM hosted_agents h WHERE h.id = ?`, [id]);
}

/** Finds, among the agents of a page, those under hosts. */
export function listHostedPage(db: Pick<Db, 'all'>, ids: readonly string[]): Promise<HostedAgentRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM hosted_agents h WHERE h.id IN (${PAGE_MARKS})`, pageIds(ids));
}

export function findHostedAgentByKey(
  db: Pick<Tx, 'get'>,
  hostId: string,
  thumbprint: string,
): Promise<HostedAgentRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM hosted_agents h WHERE h.host_id = ? AND h.thumbprint = ?`, [
    hostId,
    thumbprint,
  ]);
}

/** Lists the agents that have a key: hosts may give one key to several. */
export function listHostedAgentsByKey(db: Pick<Tx, 'all'>, thumbprint: string): Promise<HostedAgentRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM hosted_agents h WHERE h.thumbprint = ? AND h.ended_at IS NULL ORDER BY h.id LIMIT 10`,
    [thumbprint],
  );
}

export function listHostedAgents(db: Pick<Db, 'all'>, hostId: string): Promise<HostedAgentRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM hosted_agents h WHERE h.host_id = ? ORDER BY h.id`, [hostId]);
}

/** Activates an agent, for the first time or again, unless it has ended. */
export function updateHostedAgentActivated(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE hosted_agents SET activated_at = ?, seen_at = ? WHERE id = ? AND ended_at IS NULL', [
    now,
    now,
    id,
  ]);
}

/** Records that an agent signed a request, which postpones its expiry. */
export function updateHostedAgentSeen(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE hosted_agents SET seen_at = ? WHERE id = ? AND (seen_at IS NULL OR seen_at < ?)', [
    now,
    id,
    now,
  ]);
}

/** Ends an agent, once. */
export function updateHostedAgentEnded(
  tx: Tx,
  id: string,
  reason: NonNullable<HostedAgentRow['endReason']>,
  now: number,
): Promise<number> {
  return tx.run('UPDATE hosted_agents SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL', [
    now,
    reason,
    id,
  ]);
}

/** Replaces the key of an agent; returns false where an agent of the host has the new key, or the agent has ended. */
export async function updateHostedAgentKey(
  tx: Tx,
  agent: Pick<HostedAgentRow, 'id' | 'hostId'>,
  key: Pick<HostedAgentRow, 'thumbprint' | 'publicJwk'>,
): Promise<boolean> {
  if ((await findHostedAgentByKey(tx, agent.hostId, key.thumbprint)) !== undefined) return false;
  const changed = await tx.run(
    'UPDATE hosted_agents SET thumbprint = ?, public_jwk = ? WHERE id = ? AND ended_at IS NULL',
    [key.thumbprint, key.publicJwk, agent.id],
  );
  return changed === 1;
}

const COLUMNS = `h.id, h.host_id AS "hostId", h.mode, h.name, h.thumbprint, h.public_jwk AS "publicJwk",
  h.created_at AS "createdAt", h.activated_at AS "activatedAt", h.seen_at AS "seenAt", h.ended_at AS "endedAt",
  h.end_reason AS "endReason",
  (SELECT revoked_at FROM agents WHERE id = h.id) AS "agentRevokedAt",
  (SELECT scope FROM agents WHERE id = h.id) AS "agentScope"`;
