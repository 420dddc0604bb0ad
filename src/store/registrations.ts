import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/**
 * How the agent registered: anonymously, with the mailbox of its human (`identity_assertion`, `service_auth`), with an
 * ID-JAG of its agent provider, or under a host, whose agents share the host's registration.
 */
export type RegistrationKind = 'anonymous' | 'identity_assertion' | 'service_auth' | 'id_jag' | 'host';

/** Whether the agent moves into its owner's account (`merge`) or keeps its own below it (`link`). */
export type ClaimMode = 'merge' | 'link';

/** The registration of an agent or a host. */
export interface RegistrationRow {
  id: string;
  kind: RegistrationKind;
  agentId: string | null;
  agentName: string | null;
  createdAt: number;
  expiresAt: number;
  claimedAt: number | null;
  mode: ClaimMode | null;
  /** The credential type that an agent of auth.md v0.1 requested. */
  credentialType: CredentialType | null;
  /** Increases when all identity assertions are revoked: those of a lower generation are invalid. */
  generation: number;
  /** The user of an agent provider whose ID-JAG registered or claimed it; see PrincipalRow. */
  principal: string | null;
}

/** The credential types of auth.md v0.1. */
export type CredentialType = 'api_key' | 'access_token';

/** Inserts an unclaimed registration. */
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

/** Finds the registrations of a page of agents. */
export function listRegistrations(db: Pick<Db, 'all'>, ids: readonly string[]): Promise<RegistrationRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM registrations WHERE id IN (${PAGE_MARKS})`, pageIds(ids));
}

export function findRegistration(db: Pick<Tx, 'get'>, id: string): Promise<RegistrationRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM registrations WHERE id = ?`, [id]);
}

/** Lists the registrations that were made or claimed with ID-JAGs of one user of a provider. */
export function listRegistrationsOfPrincipal(
  db: Pick<Tx, 'all'>,
  principal: string,
): Promise<RegistrationRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM registrations WHERE principal = ? ORDER BY id`, [principal]);
}

/** Revokes all identity assertions of a registration: those signed from now on are of the next generation. */
export function incrementGeneration(tx: Tx, id: string): Promise<number> {
  return tx.run('UPDATE registrations SET generation = generation + 1 WHERE id = ?', [id]);
}

/** Records the user of a provider whose ID-JAG claimed a registration. */
export function updateRegistrationPrincipal(tx: Tx, id: string, principal: string): Promise<number> {
  return tx.run('UPDATE registrations SET principal = ? WHERE id = ?', [principal, id]);
}

/** Marks the registration of a host as claimed, once: the host's agents belong to its owner from now on. */
export function updateHostRegistrationClaimed(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE registrations SET claimed_at = ?, mode = 'merge' WHERE id = ? AND claimed_at IS NULL`,
    [now, id],
  );
}

/** Renews an unclaimed registration: sets another expiry and the credential type to issue. */
export function updateRegistrationRenewed(
  tx: Tx,
  id: string,
  renewal: { expiresAt: number; credentialType: CredentialType | undefined },
): Promise<number> {
  return tx.run(
    'UPDATE registrations SET expires_at = ?, credential_type = ? WHERE id = ? AND claimed_at IS NULL',
    [renewal.expiresAt, renewal.credentialType ?? null, id],
  );
}

/** Makes a claimed registration unclaimed again, with an expiry (epoch ms). */
export function updateRegistrationUnclaimed(tx: Tx, id: string, expiresAt: number): Promise<number> {
  return tx.run('UPDATE registrations SET claimed_at = NULL, mode = NULL, expires_at = ? WHERE id = ?', [
    expiresAt,
    id,
  ]);
}

/** Marks a registration as claimed and records its agent, once. */
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

/** Finds the names of the agents of a page of registrations, by the id of the registration. */
export async function listRegistrationNames(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  const rows = await db.all<{ id: string; name: string | null }>(
    `SELECT r.id, COALESCE(a.name, r.agent_name) AS name FROM registrations r LEFT JOIN agents a ON a.id = r.agent_id
     WHERE r.id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}

const COLUMNS = `id, kind, agent_id AS "agentId", agent_name AS "agentName", created_at AS "createdAt",
  expires_at AS "expiresAt", claimed_at AS "claimedAt", mode, credential_type AS "credentialType", generation, principal`;
