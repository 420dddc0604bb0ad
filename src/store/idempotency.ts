import type { Db, Tx } from './engine/db.ts';

/** An Idempotency-Key, and the response of the request that used it. */
export interface IdempotencyRow {
  requestHash: Buffer;
  /** The response; null: the request is still running. */
  sealed: Buffer | null;
  /** When the response expires; while there is none, when the lease of the running request does. */
  expiresAt: number;
}

/**
 * Takes an Idempotency-Key for one request: a new key, one whose response has expired, or one whose holder died before
 * it responded.
 *
 * @param holder the id of the request
 * @param leaseUntil epoch ms; without a response by then, another request may take the key
 * @returns whether this request has the key; of concurrent calls, one does
 */
export async function insertIdempotencyKey(
  tx: Tx,
  keyHash: Buffer,
  requestHash: Buffer,
  holder: string,
  now: number,
  leaseUntil: number,
): Promise<boolean> {
  const changed = await tx.run(
    `INSERT INTO idempotency (key_hash, request_hash, holder, expires_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (key_hash) DO UPDATE SET request_hash = excluded.request_hash, holder = excluded.holder,
       expires_at = excluded.expires_at, sealed = NULL
     WHERE idempotency.expires_at <= ?`,
    [keyHash, requestHash, holder, leaseUntil, now],
  );
  return changed === 1;
}

export function findIdempotencyKey(
  db: Pick<Db, 'get'>,
  keyHash: Buffer,
): Promise<IdempotencyRow | undefined> {
  return db.get(
    'SELECT request_hash AS "requestHash", sealed, expires_at AS "expiresAt" FROM idempotency WHERE key_hash = ?',
    [keyHash],
  );
}

/** Stores the sealed response if this request still holds the key; returns whether it did. */
export async function updateIdempotencyAnswer(
  tx: Tx,
  keyHash: Buffer,
  holder: string,
  sealed: Buffer,
  expiresAt: number,
): Promise<boolean> {
  const changed = await tx.run(
    'UPDATE idempotency SET sealed = ?, expires_at = ? WHERE key_hash = ? AND holder = ? AND sealed IS NULL',
    [sealed, expiresAt, keyHash, holder],
  );
  return changed === 1;
}

/** Releases a key whose request failed, so that the client can repeat the request. */
export function deleteIdempotencyKey(tx: Tx, keyHash: Buffer, holder: string): Promise<number> {
  return tx.run('DELETE FROM idempotency WHERE key_hash = ? AND holder = ? AND sealed IS NULL', [
    keyHash,
    holder,
  ]);
}
