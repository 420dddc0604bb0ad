import type { Db, Tx } from './engine/db.ts';

/** A user of an agent provider, by `principal`: JSON of issuer, tenant and subject. */
export interface PrincipalRow {
  principal: string;
  issuer: string;
  /** The registration that its assertions lead to. */
  registrationId: string | null;
  /** Whose account it may act for: the delegation. */
  accountId: string | null;
}

/** The row of a principal, which until the transaction ends nobody else changes; made if it is not there. */
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

/** Makes whatever else concerns a principal wait until the transaction ends. */
export function lockPrincipal(tx: Tx, principal: string): Promise<number> {
  return tx.run('UPDATE principals SET issuer = issuer WHERE principal = ?', [principal]);
}

/** Names the registration that the assertions of a principal lead to. */
export function updatePrincipalRegistration(
  tx: Tx,
  principal: string,
  registrationId: string,
): Promise<number> {
  return tx.run('UPDATE principals SET registration_id = ? WHERE principal = ?', [registrationId, principal]);
}

/** Lets a principal act for an account from now on. */
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

/** Ends the delegation of a principal, and with it the way to its registration: what it presents next begins anew. */
export function updatePrincipalUnlinked(tx: Tx, principal: string): Promise<number> {
  return tx.run(
    'UPDATE principals SET account_id = NULL, registration_id = NULL, linked_at = NULL WHERE principal = ?',
    [principal],
  );
}

export function updatePrincipalsOfAccountUnlinked(tx: Tx, accountId: string): Promise<number> {
  return tx.run(
    'UPDATE principals SET account_id = NULL, registration_id = NULL, linked_at = NULL WHERE account_id = ?',
    [accountId],
  );
}

/** Whether an account lets any user of a provider act for it. */
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

/** The next issuer, in the order of their names, of which we know users; undefined: there is none behind that one. */
export async function findNextIssuer(db: Pick<Db, 'get'>, after: string): Promise<string | undefined> {
  // One look at the index for each issuer, however many users they have: DISTINCT would read them all.
  const row = await db.get<{ issuer: string | null }>(
    'SELECT MIN(issuer) AS issuer FROM principals WHERE issuer > ?',
    [after],
  );
  return row?.issuer ?? undefined;
}

/** The users of an issuer behind one of them, at most `limit`. */
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

/** Live keys and tokens of the agents that rest on the word of users of an issuer: of those behind one, up to another. */
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
