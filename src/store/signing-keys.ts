import type { Db, Tx } from './engine/db.ts';

export interface SigningKeyRow {
  /** RFC 7638 thumbprint. */
  kid: string;
  /** JSON of the public JWK. */
  publicJwk: string;
  /** The private one, sealed. */
  sealed: Buffer;
  createdAt: number;
  usedFrom: number;
  removedAt: number | null;
}

export async function insertSigningKey(tx: Tx, key: Omit<SigningKeyRow, 'removedAt'>): Promise<void> {
  await tx.run(
    'INSERT INTO signing_keys (kid, public_jwk, sealed, created_at, used_from) VALUES (?, ?, ?, ?, ?)',
    [key.kid, key.publicJwk, key.sealed, key.createdAt, key.usedFrom],
  );
}

/** Those that were not removed, the newest in use first. */
export function listSigningKeys(db: Pick<Db, 'all'>): Promise<SigningKeyRow[]> {
  return db.all(
    `SELECT kid, public_jwk AS "publicJwk", sealed, created_at AS "createdAt", used_from AS "usedFrom",
            removed_at AS "removedAt"
     FROM signing_keys WHERE removed_at IS NULL ORDER BY used_from DESC, kid`,
  );
}

export function deleteSigningKey(tx: Tx, kid: string, now: number): Promise<number> {
  return tx.run('UPDATE signing_keys SET removed_at = ? WHERE kid = ? AND removed_at IS NULL', [now, kid]);
}
