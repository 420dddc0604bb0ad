import type { Db, Tx } from './engine/db.ts';

/** A key with which the service signs tokens. */
export interface SigningKeyRow {
  /** RFC 7638 thumbprint. */
  kid: string;
  /** The public JWK, as JSON. */
  publicJwk: string;
  /** The private JWK, sealed under the service secret. */
  sealed: Buffer;
  /** The key is published from here on. */
  createdAt: number;
  /** The key signs from here on, until a newer one does. */
  usedFrom: number;
  removedAt: number | null;
  /** Until when a permission grant lives that it signed; null: it signed none. */
  keepUntil: number | null;
}

export async function insertSigningKey(
  tx: Tx,
  key: Omit<SigningKeyRow, 'removedAt' | 'keepUntil'>,
): Promise<void> {
  await tx.run(
    'INSERT INTO signing_keys (kid, public_jwk, sealed, created_at, used_from) VALUES (?, ?, ?, ?, ?)',
    [key.kid, key.publicJwk, key.sealed, key.createdAt, key.usedFrom],
  );
}

/** Lists the signing keys that were not removed, the latest `usedFrom` first. */
export function listSigningKeys(db: Pick<Db, 'all'>): Promise<SigningKeyRow[]> {
  return db.all(
    `SELECT kid, public_jwk AS "publicJwk", sealed, created_at AS "createdAt", used_from AS "usedFrom",
            removed_at AS "removedAt", keep_until AS "keepUntil"
     FROM signing_keys WHERE removed_at IS NULL ORDER BY used_from DESC, kid`,
  );
}

/** Keeps a signing key published until a time, epoch ms, at least. */
export function updateSigningKeyKept(tx: Tx, kid: string, until: number): Promise<number> {
  return tx.run(
    'UPDATE signing_keys SET keep_until = ? WHERE kid = ? AND (keep_until IS NULL OR keep_until < ?)',
    [until, kid, until],
  );
}

/** Marks a signing key as removed, once; its row stays. */
export function updateSigningKeyRemoved(tx: Tx, kid: string, now: number): Promise<number> {
  return tx.run('UPDATE signing_keys SET removed_at = ? WHERE kid = ? AND removed_at IS NULL', [now, kid]);
}
