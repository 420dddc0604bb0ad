import type { Tx } from './engine/db.ts';

/** A refresh token. Each is used once, for the next of its family (RFC 9700 section 4.14.2). */
export interface RefreshTokenRow {
  hash: Buffer;
  family: string;
  registrationId: string;
  expiresAt: number;
  /** When the token was exchanged for the next one. */
  spentAt: number | null;
  /** The next token, sealed, for a client that lost the response. */
  successor: Buffer | null;
  endedAt: number | null;
}

export async function insertRefreshToken(
  tx: Tx,
  token: Pick<RefreshTokenRow, 'hash' | 'family' | 'registrationId' | 'expiresAt'> & { now: number },
): Promise<void> {
  await tx.run(
    `INSERT INTO refresh_tokens (hash, family, registration_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
    [token.hash, token.family, token.registrationId, token.now, token.expiresAt],
  );
}

export function findRefreshToken(db: Pick<Tx, 'get'>, hash: Buffer): Promise<RefreshTokenRow | undefined> {
  return db.get(
    `SELECT hash, family, registration_id AS "registrationId", expires_at AS "expiresAt", spent_at AS "spentAt",
            successor, ended_at AS "endedAt"
     FROM refresh_tokens WHERE hash = ?`,
    [hash],
  );
}

/** Marks an active refresh token as used and stores its successor; of concurrent calls, one returns 1. */
export function updateRefreshTokenUsed(
  tx: Tx,
  hash: Buffer,
  successor: Buffer,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE refresh_tokens SET spent_at = ?, successor = ?
     WHERE hash = ? AND spent_at IS NULL AND ended_at IS NULL AND expires_at > ?`,
    [now, successor, hash, now],
  );
}

/** Revokes all refresh tokens of a family. */
export function updateFamilyEnded(tx: Tx, family: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE refresh_tokens SET ended_at = ?, successor = NULL WHERE family = ? AND ended_at IS NULL',
    [now, family],
  );
}

/** Revokes all refresh tokens of a registration. */
export function updateFamiliesOfRegistrationEnded(
  tx: Tx,
  registrationId: string,
  now: number,
): Promise<number> {
  return tx.run(
    'UPDATE refresh_tokens SET ended_at = ?, successor = NULL WHERE registration_id = ? AND ended_at IS NULL',
    [now, registrationId],
  );
}
