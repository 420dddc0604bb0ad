import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** How it came: saying nothing of its human, naming their mailbox, on the word of an agent provider, or as a host of agents. */
export type RegistrationKind = 'anonymous' | 'identity_assertion' | 'service_auth' | 'id_jag' | 'host';
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
  /** What an agent of auth.md v0.1 asked for. */
  credentialType: CredentialType | null;
  /** Assertions of an older one are dead. */
  generation: number;
  /** The user of a provider on whose word it came, or was claimed. */
  principal: string | null;
}

/** What auth.md v0.1 calls the credentials that it gives. */
export type CredentialType = 'api_key' | 'access_token';

export async function insertRegistration(
  tx: Tx,
  registration: {
    id: string;
    kind: RegistrationKind;
    agentId: string | null;
    agentName: string | null;
    now: number;
    expiresAt: number;
    credentialType?: CredentialType | undefined;
    principal?: string | undefined;
  },
): Promise<void> {
  await tx.run(
    `INSERT INTO registrations
       (id, kind, agent_id, agent_name, created_at, expires_at, credential_type, principal)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      registration.id,
      registration.kind,
      registration.agentId,
      registration.agentName,
      registration.now,
      registration.expiresAt,
      registration.credentialType ?? null,
      registration.principal ?? null,
    ],
  );
}

/** Those of a page of agents. */
export function listRegistrations(db: Pick<Db, 'all'>, ids: readonly string[]): Promise<RegistrationRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM registrations WHERE id IN (${PAGE_MARKS})`, pageIds(ids));
}

export function findRegistration(db: Pick<Tx, 'get'>, id: string): Promise<RegistrationRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM registrations WHERE id = ?`, [id]);
}

/** All that came or were claimed on the word of one user of a provider. */
export function listRegistrationsOfPrincipal(
  db: Pick<Tx, 'all'>,
  principal: string,
): Promise<RegistrationRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM registrations WHERE principal = ? ORDER BY id`, [principal]);
}

/** Ends all assertions of a registration; those signed from now on are of the next generation. */
export function incrementGeneration(tx: Tx, id: string): Promise<number> {
  return tx.run('UPDATE registrations SET generation = generation + 1 WHERE id = ?', [id]);
}

/** Notes on whose word a registration was claimed. */
export function updateRegistrationPrincipal(tx: Tx, id: string, principal: string): Promise<number> {
  return tx.run('UPDATE registrations SET principal = ? WHERE id = ?', [principal, id]);
}

/** Marks the registration of a host as claimed, once: its agents are agents of its owner. */
export function updateHostRegistrationClaimed(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE registrations SET claimed_at = ?, mode = 'merge' WHERE id = ? AND claimed_at IS NULL`,
    [now, id],
  );
}

/** Begins an unclaimed registration anew: it has more time, and gives at the end what is asked for now. */
export function updateRegistrationRenewed(
  tx: Tx,
  id: string,
  to: { expiresAt: number; credentialType: CredentialType | undefined },
): Promise<number> {
  return tx.run(
    'UPDATE registrations SET expires_at = ?, credential_type = ? WHERE id = ? AND claimed_at IS NULL',
    [to.expiresAt, to.credentialType ?? null, id],
  );
}

/** Makes a claimed registration an unclaimed one again, which ends at a moment. */
export function updateRegistrationUnclaimed(tx: Tx, id: string, expiresAt: number): Promise<number> {
  return tx.run('UPDATE registrations SET claimed_at = NULL, mode = NULL, expires_at = ? WHERE id = ?', [
    expiresAt,
    id,
  ]);
}

/** Marks a registration as claimed, once, and names the agent that it led to. */
export function updateRegistrationClaimed(
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

const COLUMNS = `id, kind, agent_id AS "agentId", agent_name AS "agentName", created_at AS "createdAt",
  expires_at AS "expiresAt", claimed_at AS "claimedAt", mode, credential_type AS "credentialType", generation, principal`;
