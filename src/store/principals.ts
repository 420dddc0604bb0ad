import type { Db, Tx } from './engine/db.ts';

/** A user of an agent provider. `principal` is the JSON of issuer, tenant and subject. */
export interface PrincipalRow {
  principal: string;
  issuer: string;
  /** The registration to which the provider's assertions for this user lead. */
  registrationId: string | null;
  /** The account for which the user may act (the delegation); null: none. */
  accountId: string | null;
}

/** Locks the row of a principal until the transaction ends; inserts it if there is none. */
export async function lockOrCreatePrincipal(
  tx: Tx,
  principal: string,
  issuer: string,
  now: number,
): Promise<PrincipalRow> {
  await tx.run(
    'INSERT INTO principals (principal, issuer, created_at) VALUES (?, ?, ?) ON CONFLICT (principal) DO NOTHING',
    [principal, issuer, now],
  );
  const row = await tx.get<PrincipalRow>(
    `UPDATE principals SET issuer = issuer WHERE principal = ?
     RETURNING principal, issuer, registration_id AS "registrationId", account_id AS "accountId"`,
    [principal],
  );
  return row!;
}

/** Locks a principal: every other transaction that locks it waits until this one ends. */
export function lockPrincipal(tx: Tx, principal: string): Promise<number> {
  return tx.run('UPDATE principals SET issuer = issuer WHERE principal = ?', [principal]);
}

/** Sets the registration to which the assertions for a principal lead. */
export function updatePrincipalRegistration(
  tx: Tx,
  principal: string,
  registrationId: string,
): Promise<number> {
  return tx.run('UPDATE principals SET registration_id = ? WHERE principal = ?', [registrationId, principal]);
}

/** Delegates an account to a principal, who may act for it from now on. */
export function updatePrincipalLinked(
  tx: Tx,
  principal: string,
  accountId: string,
  now: number,
): Promise<number> {
  return tx.run('UPDATE principals SET account_id = ?, linked_at = ? WHERE principal = ?', [
    accountId,
    now,
    principal,
  ]);
}

/** Ends the delegation of a principal and detaches its registration: its next assertion starts a new one. */
export function updatePrincipalUnlinked(tx: Tx, principal: string): Promise<number> {
  return tx.run(
    'UPDATE principals SET account_id = NULL, registration_id = NULL, linked_at = NULL WHERE principal = ?',
    [principal],
  );
}

/** Ends all delegations of an account, as updatePrincipalUnlinked() does. */
export function updatePrincipalsOfAccountUnlinked(tx: Tx, accountId: string): Promise<number> {
  return tx.run(
    'UPDATE principals SET account_id = NULL, registration_id = NULL, linked_at = NULL WHERE account_id = ?',
    [accountId],
  );
}

/** Lists the users of providers who may act for an account. */
export function listPrincipalsOfAccount(
  db: Pick<Tx, 'all'>,
  accountId: string,
): Promise<{ principal: string; linkedAt: number }[]> {
  return db.all(
    `SELECT principal, linked_at AS "linkedAt" FROM principals
     WHERE account_id = ? AND account_id IS NOT NULL ORDER BY linked_at, principal`,
    [accountId],
  );
}

/** Whether any user of this provider may act for the account. */
export async function hasDelegationTo(
  db: Pick<Tx, 'get'>,
  accountId: string,
  issuer: string,
): Promise<boolean> {
  const found = await db.get('SELECT 1 AS one FROM principals WHERE account_id = ? AND issuer = ? LIMIT 1', [
    accountId,
    issuer,
  ]);
  return found !== undefined;
}

/** Finds the next issuer after one, in alphabetical order, that has principals; undefined: there is none. */
export async function findNextIssuer(db: Pick<Db, 'get'>, after: string): Promise<string | undefined> {
  // One index lookup for each issuer, however many users it has: DISTINCT would read all of them.
  const row = await db.get<{ issuer: string | null }>(
    'SELECT MIN(issuer) AS issuer FROM principals WHERE issuer > ?',
    [after],
  );
  return row?.issuer ?? undefined;
}

/** Counts the agents that registered, or were claimed, with ID-JAGs of an issuer, up to `max`. */
export async function countAgentsOfIssuer(db: Pick<Db, 'get'>, issuer: string, max: number): Promise<number> {
  const row = await db.get<{ count: number }>(
    `SELECT COUNT(*) AS count FROM (
       SELECT r.agent_id FROM principals p JOIN registrations r ON r.principal = p.principal
       WHERE p.issuer = ? AND r.agent_id IS NOT NULL LIMIT ?) f`,
    [issuer, max],
  );
  return row!.count;
}

/** Lists up to `limit` principals of an issuer after one of them. */
export function listPrincipalsOfIssuer(
  db: Pick<Db, 'all'>,
  issuer: string,
  after: string,
  limit: number,
): Promise<Pick<PrincipalRow, 'principal'>[]> {
  return db.all(
    'SELECT principal FROM principals WHERE issuer = ? AND principal > ? ORDER BY principal LIMIT ?',
    [issuer, after, limit],
  );
}

/**
 * Lists the active keys and tokens of agents that registered, or were claimed, with ID-JAGs of an issuer.
 *
 * @param users a range of principals: `after` is exclusive, `last` inclusive
 */
export function listCredentialsOfIssuer(
  db: Pick<Db, 'all'>,
  issuer: string,
  users: { after: string; last: string },
  now: number,
): Promise<{ hash: Buffer; id: string; accountId: string; agentId: string }[]> {
  return db.all(
    `SELECT c.hash, c.id, c.account_id AS "accountId", c.agent_id AS "agentId"
     FROM principals p JOIN registrations r ON r.principal = p.principal JOIN credentials c ON c.agent_id = r.agent_id
     WHERE p.issuer = ? AND p.principal > ? AND p.principal <= ?
       AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?)`,
    [issuer, users.after, users.last, now],
  );
}
