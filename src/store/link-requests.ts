import type { Tx } from './engine/db.ts';

/** A user of a provider for whom a client presented an assertion, and whom the owner of an account has to let in first. */
export interface LinkRequestRow {
  id: string;
  /** The user, see principalOf(). */
  principal: string;
  accountId: string;
  /** The client that asked. */
  clientId: string;
  /** What it asked for, separated by spaces, and the URL of the API. */
  scope: string;
  resource: string;
  createdAt: number;
  expiresAt: number;
  declinedAt: number | null;
}

export async function insertLinkRequest(tx: Tx, request: Omit<LinkRequestRow, 'declinedAt'>): Promise<void> {
  await tx.run(
    `INSERT INTO link_requests (id, principal, account_id, client_id, scope, resource, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      request.id,
      request.principal,
      request.accountId,
      request.clientId,
      request.scope,
      request.resource,
      request.createdAt,
      request.expiresAt,
    ],
  );
}

export function findLinkRequest(db: Pick<Tx, 'get'>, id: string): Promise<LinkRequestRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM link_requests WHERE id = ?`, [id]);
}

export function findLinkRequestOfPrincipal(
  db: Pick<Tx, 'get'>,
  principal: string,
): Promise<LinkRequestRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM link_requests WHERE principal = ?`, [principal]);
}

/** Lists the requests to an account that were not declined and have not expired, oldest first. @param limit a constant of the program */
export function listOpenLinkRequests(
  db: Pick<Tx, 'all'>,
  accountId: string,
  now: number,
  limit: number,
): Promise<LinkRequestRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM link_requests
     WHERE account_id = ? AND declined_at IS NULL AND expires_at > ? ORDER BY id LIMIT ${limit}`,
    [accountId, now],
  );
}

/** Declines a request that was not declined yet. */
export function updateLinkRequestDeclined(
  tx: Tx,
  id: string,
  times: { declinedAt: number; expiresAt: number },
): Promise<number> {
  return tx.run(
    'UPDATE link_requests SET declined_at = ?, expires_at = ? WHERE id = ? AND declined_at IS NULL',
    [times.declinedAt, times.expiresAt, id],
  );
}

/** Deletes the request for a user of a provider. */
export function deleteLinkRequestOfPrincipal(tx: Tx, principal: string): Promise<number> {
  return tx.run('DELETE FROM link_requests WHERE principal = ?', [principal]);
}

export function deleteLinkRequestsOfAccount(tx: Tx, accountId: string): Promise<number> {
  return tx.run('DELETE FROM link_requests WHERE account_id = ?', [accountId]);
}

const COLUMNS = `id, principal, account_id AS "accountId", client_id AS "clientId", scope, resource,
  created_at AS "createdAt", expires_at AS "expiresAt", declined_at AS "declinedAt"`;
