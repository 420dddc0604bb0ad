import type { CredentialRow } from './credentials.ts';
import type { Db, Tx } from './engine/db.ts';

/** Access tokens of apps: rows of `credentials` that have a `client_id`, and an `oauth_grant` where a human consented. */

/** Lists the access tokens of what a human consented to. */
export function listTokensOfOAuthGrant(
  db: Pick<Db, 'all'>,
  grantId: string,
): Promise<Pick<CredentialRow, 'id' | 'hash' | 'resources' | 'placed' | 'oauthGrant' | 'grants'>[]> {
  return db.all(
    `SELECT id, hash, resources, placed, oauth_grant AS "oauthGrant", grants FROM credentials
     WHERE oauth_grant = ? AND oauth_grant IS NOT NULL ORDER BY id`,
    [grantId],
  );
}

/** Revokes the access tokens of what a human consented to. */
export function updateTokensOfOAuthGrantRevoked(tx: Tx, grantId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ?
     WHERE oauth_grant = ? AND oauth_grant IS NOT NULL AND revoked_at IS NULL`,
    [now, grantId],
  );
}

/** Lists the access tokens that a client got for itself, without a human. */
export function listTokensOfOAuthClient(
  db: Pick<Db, 'all'>,
  clientId: string,
): Promise<Pick<CredentialRow, 'id' | 'hash' | 'resources'>[]> {
  return db.all(
    `SELECT id, hash, resources FROM credentials
     WHERE client_id = ? AND client_id IS NOT NULL AND oauth_grant IS NULL ORDER BY id`,
    [clientId],
  );
}

/** Revokes the access tokens that a client got for itself, without a human. */
export function updateTokensOfOAuthClientRevoked(tx: Tx, clientId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ?
     WHERE client_id = ? AND client_id IS NOT NULL AND oauth_grant IS NULL AND revoked_at IS NULL`,
    [now, clientId],
  );
}
