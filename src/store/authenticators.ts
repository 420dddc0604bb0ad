import type { Db, Tx } from './engine/db.ts';

/** The authenticator app of an account: its second factor by TOTP (RFC 6238). */
export interface AuthenticatorRow {
  accountId: string;
  /** The TOTP secret, sealed under the service secret. */
  sealed: Buffer;
  /** The time step of the latest code that was used. */
  lastStep: number;
  createdAt: number;
}

export function findAuthenticator(
  db: Pick<Tx, 'get'>,
  accountId: string,
): Promise<AuthenticatorRow | undefined> {
  return db.get(
    `SELECT account_id AS "accountId", sealed, last_step AS "lastStep", created_at AS "createdAt"
     FROM authenticators WHERE account_id = ?`,
    [accountId],
  );
}

/** Inserts the authenticator of an account unless it has one; returns whether it did. */
export async function insertAuthenticator(tx: Tx, row: AuthenticatorRow): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO authenticators (account_id, sealed, last_step, created_at) VALUES (?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
    [row.accountId, row.sealed, row.lastStep, row.createdAt],
  );
  return inserted === 1;
}

/**
 * Consumes the code of a time step and of all earlier ones: a code works once (RFC 6238 section 5.2). Of concurrent
 * calls with one code, one returns true.
 *
 * @param sealed the TOTP secret, sealed anew
 */
export async function updateAuthenticatorStep(
  tx: Tx,
  accountId: string,
  step: number,
  sealed: Buffer,
): Promise<boolean> {
  const changed = await tx.run(
    'UPDATE authenticators SET last_step = ?, sealed = ? WHERE account_id = ? AND last_step < ?',
    [step, sealed, accountId, step],
  );
  return changed === 1;
}

export function deleteAuthenticator(tx: Tx, accountId: string): Promise<number> {
  return tx.run('DELETE FROM authenticators WHERE account_id = ?', [accountId]);
}

export async function insertRecoveryCode(tx: Tx, accountId: string, hash: Buffer): Promise<void> {
  await tx.run('INSERT INTO recovery_codes (account_id, hash) VALUES (?, ?)', [accountId, hash]);
}

/** Consumes a recovery code; returns whether this call did. */
export async function updateRecoveryCodeUsed(
  tx: Tx,
  accountId: string,
  hash: Buffer,
  now: number,
): Promise<boolean> {
  const changed = await tx.run(
    'UPDATE recovery_codes SET used_at = ? WHERE account_id = ? AND hash = ? AND used_at IS NULL',
    [now, accountId, hash],
  );
  return changed === 1;
}

/** Counts the recovery codes of an account that were not used. */
export async function countRecoveryCodes(db: Pick<Db, 'get'>, accountId: string): Promise<number> {
  const row = await db.get<{ left: number }>(
    'SELECT COUNT(*) AS "left" FROM recovery_codes WHERE account_id = ? AND used_at IS NULL',
    [accountId],
  );
  return row!.left;
}

export function deleteRecoveryCodes(tx: Tx, accountId: string): Promise<number> {
  return tx.run('DELETE FROM recovery_codes WHERE account_id = ?', [accountId]);
}
