import type { CredentialRow } from './credentials.ts';
import type { Db, Tx } from './engine/db.ts';

/** Lists keys whose expiry notice is due, the longest due first. */
export function listDueExpiryNotices(
  db: Pick<Db, 'all'>,
  now: number,
  limit: number,
): Promise<Pick<CredentialRow, 'hash' | 'id' | 'kind' | 'accountId'>[]> {
  return db.all(
    'SELECT hash, id, kind, account_id AS "accountId" FROM credentials WHERE warn_at <= ? ORDER BY warn_at LIMIT ?',
    [now, limit],
  );
}

/** Clears the due expiry notice of a key. Returns true to one of concurrent calls, and only if the key still works. */
export async function updateCredentialWarned(tx: Tx, hash: Buffer, now: number): Promise<boolean> {
  const row = await tx.get<{ isLive: number }>(
    `UPDATE credentials SET warn_at = NULL WHERE hash = ? AND warn_at IS NOT NULL
     RETURNING CASE WHEN revoked_at IS NULL AND expires_at > ? THEN 1 ELSE 0 END AS "isLive"`,
    [hash, now],
  );
  return row?.isLive === 1;
}
