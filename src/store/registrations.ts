import type { Tx } from './db.ts';

export type RegistrationKind = 'anonymous' | 'identity_assertion';
export type ClaimMode = 'merge' | 'link';

export interface RegistrationRow {
  id: string;
  kind: RegistrationKind;
  agentId: string | null;
  agentName: string | null;
  createdAt: number;
  expiresAt: number;
  claimedAt: number | null;
  mode: ClaimMode | null;
}

export async function insertRegistration(
  tx: Tx,
  registration: {
    id: string;
    kind: RegistrationKind;
    agentId: string | null;
    agentName: string | null;
    now: number;
    expiresAt: number;
  },
): Promise<void> {
  await tx.run(
    `INSERT INTO registrations (id, kind, agent_id, agent_name, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
    [
      registration.id,
      registration.kind,
      registration.agentId,
      registration.agentName,
      registration.now,
      registration.expiresAt,
    ],
  );
}

export function findRegistration(db: Pick<Tx, 'get'>, id: string): Promise<RegistrationRow | undefined> {
  return db.get(
    `SELECT id, kind, agent_id AS "agentId", agent_name AS "agentName", created_at AS "createdAt",
            expires_at AS "expiresAt", claimed_at AS "claimedAt", mode
     FROM registrations WHERE id = ?`,
    [id],
  );
}

/** Makes a claimed registration an unclaimed one again, which ends at a moment. */
export function unclaimRegistration(tx: Tx, id: string, expiresAt: number): Promise<number> {
  return tx.run('UPDATE registrations SET claimed_at = NULL, mode = NULL, expires_at = ? WHERE id = ?', [
    expiresAt,
    id,
  ]);
}

/** Marks a registration as claimed, once, and names the agent that it led to. */
export function markRegistrationClaimed(
  tx: Tx,
  id: string,
  agentId: string,
  mode: ClaimMode,
  now: number,
): Promise<number> {
  return tx.run(
    'UPDATE registrations SET claimed_at = ?, agent_id = ?, mode = ? WHERE id = ? AND claimed_at IS NULL',
    [now, agentId, mode, id],
  );
}
