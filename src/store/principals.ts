import type { Db, Tx } from './db.ts';

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
export async function holdPrincipal(
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
export function placePrincipal(tx: Tx, principal: string, registrationId: string): Promise<number> {
  return tx.run('UPDATE principals SET registration_id = ? WHERE principal = ?', [registrationId, principal]);
}

/** Lets a principal act for an account from now on. */
export function linkPrincipal(tx: Tx, principal: string, accountId: string, now: number): Promise<number> {
  return tx.run('UPDATE principals SET account_id = ?, linked_at = ? WHERE principal = ?', [
    accountId,
    now,
    principal,
  ]);
}

/** Ends the delegation of a principal, and with it the way to its registration: what it presents next begins anew. */
export function unlinkPrincipal(tx: Tx, principal: string): Promise<number> {
  return tx.run(
    'UPDATE principals SET account_id = NULL, registration_id = NULL, linked_at = NULL WHERE principal = ?',
    [principal],
  );
}

export function unlinkPrincipalsOf(tx: Tx, accountId: string): Promise<number> {
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

/** The issuers of which we know users. */
export async function listIssuers(db: Pick<Db, 'all'>): Promise<string[]> {
  const rows = await db.all<{ issuer: string }>('SELECT DISTINCT issuer FROM principals');
  return rows.map(({ issuer }) => issuer);
}

/** Live keys and tokens of agents that rest on the word of an issuer. */
export function listCredentialsBy(
  db: Pick<Tx, 'all'>,
  issuer: string,
  now: number,
  limit: number,
): Promise<{ hash: Buffer; id: string; accountId: string; agentId: string }[]> {
  return db.all(
    `SELECT c.hash, c.id, c.account_id AS "accountId", c.agent_id AS "agentId"
     FROM principals p JOIN registrations r ON r.principal = p.principal JOIN credentials c ON c.agent_id = r.agent_id
     WHERE p.issuer = ? AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?) ORDER BY c.id LIMIT ?`,
    [issuer, now, limit],
  );
}
