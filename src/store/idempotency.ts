import type { Db, Tx } from './engine/db.ts';

export interface IdempotencyRow {
  requestHash: Buffer;
  sealed: Buffer | null;
  expiresAt: number;
}

/**
 * Takes a key for one request: a key nobody holds, or one whose answer has expired, or whose holder died before it answered.
 * Of several at once, one does.
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

/** Keeps the sealed answer, if the key is still held by this request. */
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

/** Lets go of a key whose request failed, so that it may be repeated. */
export function deleteIdempotencyKey(tx: Tx, keyHash: Buffer, holder: string): Promise<number> {
  return tx.run('DELETE FROM idempotency WHERE key_hash = ? AND holder = ? AND sealed IS NULL', [
    keyHash,
    holder,
  ]);
}
