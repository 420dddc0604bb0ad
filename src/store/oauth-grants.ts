import type { Tx } from './engine/db.ts';

/** What a human consented to: what an app may do at one API with their account. */
export interface OAuthGrantRow {
  id: string;
  accountId: string;
  clientId: string;
  /** The URL of the API; null: only the scopes of OpenID Connect. */
  resource: string | null;
  /** At the API, space-separated. */
  scope: string;
  /** The scopes of OpenID Connect, space-separated. */
  openidScope: string;
  /** Where the app was answered last. */
  redirectUri: string;
  createdAt: number;
  expiresAt: number;
  revokedAt: number | null;
  /** When the app last used it, and where, as text for its owner; null: never. */
  usedAt: number | null;
  usedFrom: string | null;
  /** The user of a provider whose assertions gave it, see principalOf(); null: a human gave it. */
  principal: string | null;
}

export async function insertOAuthGrant(
  tx: Tx,
  grant: Omit<OAuthGrantRow, 'revokedAt' | 'usedAt' | 'usedFrom'>,
): Promise<void> {
  await tx.run(
    `INSERT INTO oauth_grants (id, account_id, client_id, resource, scope, openid_scope, redirect_uri, created_at,
       expires_at, principal)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      grant.id,
      grant.accountId,
      grant.clientId,
      grant.resource,
      grant.scope,
      grant.openidScope,
      grant.redirectUri,
      grant.createdAt,
      grant.expiresAt,
      grant.principal,
    ],
  );
}

export function findOAuthGrant(db: Pick<Tx, 'get'>, id: string): Promise<OAuthGrantRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM oauth_grants WHERE id = ?`, [id]);
}

/**
 * Locks a grant that its app uses and returns it, unless it was revoked or has expired: until the transaction ends nobody
 * revokes it.
 *
 * @param from as text for its owner
 */
export function lockLiveOAuthGrant(
  tx: Tx,
  id: string,
  now: number,
  from: string,
): Promise<OAuthGrantRow | undefined> {
  return tx.get(
    `UPDATE oauth_grants SET used_at = ?, used_from = ?
     WHERE id = ? AND revoked_at IS NULL AND expires_at > ? RETURNING ${COLUMNS}`,
    [now, from, id, now],
  );
}

/** Locks a grant, also one that has ended. */
export function lockOAuthGrant(tx: Tx, id: string): Promise<OAuthGrantRow | undefined> {
  return tx.get(`UPDATE oauth_grants SET scope = scope WHERE id = ? RETURNING ${COLUMNS}`, [id]);
}

/** Records when and where the app used a grant, unless a later use is recorded. */
export function updateOAuthGrantUsed(tx: Tx, id: string, at: number, from: string): Promise<number> {
  return tx.run(
    `UPDATE oauth_grants SET used_at = ?, used_from = ?
     WHERE id = ? AND revoked_at IS NULL AND (used_at IS NULL OR used_at < ?)`,
    [at, from, id, at],
  );
}

/** Finds the grant that a human gave a client at an API and that was neither revoked nor has expired. */
export function findLiveOAuthGrant(
  db: Pick<Tx, 'get'>,
  { accountId, clientId, resource }: Pick<OAuthGrantRow, 'accountId' | 'clientId' | 'resource'>,
  now: number,
): Promise<OAuthGrantRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM oauth_grants
     WHERE account_id = ? AND client_id = ? AND COALESCE(resource, '') = ? AND principal IS NULL
       AND revoked_at IS NULL AND expires_at > ?
     ORDER BY id DESC LIMIT 1`,
    [accountId, clientId, resource ?? '', now],
  );
}

/** Finds the last grant of a client at an API that the assertions for a principal gave, also one that has ended. */
export function findLastOAuthGrantOfPrincipal(
  db: Pick<Tx, 'get'>,
  principal: string,
  { accountId, clientId, resource }: Pick<OAuthGrantRow, 'accountId' | 'clientId' | 'resource'>,
): Promise<OAuthGrantRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM oauth_grants
     WHERE principal = ? AND principal IS NOT NULL AND account_id = ? AND client_id = ? AND COALESCE(resource, '') = ?
     ORDER BY id DESC LIMIT 1`,
    [principal, accountId, clientId, resource ?? ''],
  );
}

/** Lists the grants that the assertions for a principal gave, and that were neither revoked nor have expired. */
export function listLiveOAuthGrantsOfPrincipal(
  db: Pick<Tx, 'all'>,
  principal: string,
  now: number,
): Promise<OAuthGrantRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM oauth_grants
     WHERE principal = ? AND principal IS NOT NULL AND revoked_at IS NULL AND expires_at > ?
     ORDER BY account_id, id`,
    [principal, now],
  );
}

/** Lists the users of an issuer who gave live grants. @param users `after` is exclusive, `last` inclusive */
export function listPrincipalsWithOAuthGrant(
  db: Pick<Tx, 'all'>,
  issuer: string,
  users: { after: string; last: string },
  now: number,
): Promise<{ principal: string }[]> {
  return db.all(
    `SELECT DISTINCT p.principal FROM principals p JOIN oauth_grants g ON g.principal = p.principal
     WHERE p.issuer = ? AND p.principal > ? AND p.principal <= ?
       AND g.principal IS NOT NULL AND g.revoked_at IS NULL AND g.expires_at > ?`,
    [issuer, users.after, users.last, now],
  );
}

/** Lists the grants of an account that were neither revoked nor have expired, newest first. */
export function listLiveOAuthGrants(
  db: Pick<Tx, 'all'>,
  accountId: string,
  now: number,
): Promise<OAuthGrantRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM oauth_grants
     WHERE account_id = ? AND revoked_at IS NULL AND expires_at > ? ORDER BY id DESC`,
    [accountId, now],
  );
}

/** Lists the grants that a human gave a client and that were neither revoked nor have expired, newest first. */
export function listLiveOAuthGrantsFor(
  db: Pick<Tx, 'all'>,
  { accountId, clientId }: Pick<OAuthGrantRow, 'accountId' | 'clientId'>,
  now: number,
): Promise<OAuthGrantRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM oauth_grants
     WHERE client_id = ? AND account_id = ? AND principal IS NULL AND revoked_at IS NULL AND expires_at > ?
     ORDER BY id DESC`,
    [clientId, accountId, now],
  );
}

/**
 * Lists the first grants of a client that were neither revoked nor have expired, in the order in which their accounts are
 * locked.
 */
export function listLiveOAuthGrantsOfClient(
  db: Pick<Tx, 'all'>,
  clientId: string,
  now: number,
  limit: number,
): Promise<OAuthGrantRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM oauth_grants
     WHERE client_id = ? AND revoked_at IS NULL AND expires_at > ? ORDER BY account_id, id LIMIT ?`,
    [clientId, now, limit],
  );
}

/** Replaces what a grant allows, and until when. @returns 0 if it was revoked meanwhile */
export function updateOAuthGrantScope(
  tx: Tx,
  id: string,
  to: Pick<OAuthGrantRow, 'scope' | 'openidScope' | 'redirectUri' | 'expiresAt'>,
): Promise<number> {
  return tx.run(
    `UPDATE oauth_grants SET scope = ?, openid_scope = ?, redirect_uri = ?, expires_at = ?
     WHERE id = ? AND revoked_at IS NULL`,
    [to.scope, to.openidScope, to.redirectUri, to.expiresAt, id],
  );
}

/** Revokes a grant; of concurrent calls, one returns 1. */
export function updateOAuthGrantRevoked(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE oauth_grants SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

const COLUMNS = `id, account_id AS "accountId", client_id AS "clientId", resource, scope,
  openid_scope AS "openidScope", redirect_uri AS "redirectUri", created_at AS "createdAt", expires_at AS "expiresAt",
  revoked_at AS "revokedAt", used_at AS "usedAt", used_from AS "usedFrom", principal`;
