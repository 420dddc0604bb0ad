import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** A capability that an agent requested, and the decision on it. */
export interface GrantRow {
  agentId: string;
  capability: string;
  /** JSON; null: unconstrained. */
  constraints: string | null;
  askedAt: number;
  grantedAt: number | null;
  /** The account of the human who granted it; null: granted without a human, as a default capability. */
  grantedBy: string | null;
  deniedAt: number | null;
  reason: string | null;
}

/** Requests a capability for an agent: restarts a pending or denied request, and leaves a granted one as it is. */
export async function upsertGrant(
  tx: Tx,
  grant: Pick<GrantRow, 'agentId' | 'capability' | 'constraints'>,
  now: number,
): Promise<void> {
  await tx.run(
    `INSERT INTO grants (agent_id, capability, constraints, asked_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (agent_id, capability) DO UPDATE
     SET constraints = excluded.constraints, asked_at = excluded.asked_at, denied_at = NULL, reason = NULL
     WHERE grants.granted_at IS NULL`,
    [grant.agentId, grant.capability, grant.constraints, now],
  );
}

/** Grants a capability that an agent requested. */
export function updateGrantAllowed(
  tx: Tx,
  agentId: string,
  capability: string,
  grantedBy: string | null,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE grants SET granted_at = ?, granted_by = ?, denied_at = NULL, reason = NULL
     WHERE agent_id = ? AND capability = ?`,
    [now, grantedBy, agentId, capability],
  );
}

/** Denies a capability that an agent requested or was granted. */
export function updateGrantDenied(
  tx: Tx,
  agentId: string,
  capability: string,
  reason: string,
  now: number,
): Promise<number> {
  return tx.run(
    'UPDATE grants SET denied_at = ?, reason = ?, granted_at = NULL WHERE agent_id = ? AND capability = ?',
    [now, reason, agentId, capability],
  );
}

export function listGrants(db: Pick<Db, 'all'>, agentId: string): Promise<GrantRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM grants WHERE agent_id = ? ORDER BY capability`, [agentId]);
}

/** Lists the capability grants of a page of agents. */
export function listGrantsOf(db: Pick<Db, 'all'>, agentIds: readonly string[]): Promise<GrantRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM grants WHERE agent_id IN (${PAGE_MARKS}) ORDER BY agent_id, capability`,
    pageIds(agentIds),
  );
}

export function findGrant(
  db: Pick<Tx, 'get'>,
  agentId: string,
  capability: string,
): Promise<GrantRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM grants WHERE agent_id = ? AND capability = ?`, [agentId, capability]);
}

export function deleteGrants(tx: Tx, agentId: string): Promise<number> {
  return tx.run('DELETE FROM grants WHERE agent_id = ?', [agentId]);
}

const COLUMNS = `agent_id AS "agentId", capability, constraints, asked_at AS "askedAt", granted_at AS "grantedAt",
  granted_by AS "grantedBy", denied_at AS "deniedAt", reason`;
