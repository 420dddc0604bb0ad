import type { Db, Tx } from './engine/db.ts';

export interface AuthenticatorRow {
  accountId: string;
  sealed: Buffer;
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

/** Sets an account's authenticator, unless it has one; returns whether it did. */
export async function insertAuthenticator(tx: Tx, row: AuthenticatorRow): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO authenticators (account_id, sealed, last_step, created_at) VALUES (?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
    [row.accountId, row.sealed, row.lastStep, row.createdAt],
  );
  return inserted === 1;
}

/** Spends the code of a time step and all before it; of two that bring the same code at once, one wins. */
export async function updateAuthenticatorStep(
  tx: Tx,
  accountId: string,
  step: number,
  sealed: Buffer,
): Promise<boolean> {
  const spent = await tx.run(
    'UPDATE authenticators SET last_step = ?, sealed = ? WHERE account_id = ? AND last_step < ?',
    [step, sealed, accountId, step],
  );
  return spent === 1;
}

export function deleteAuthenticator(tx: Tx, accountId: string): Promise<number> {
  return tx.run('DELETE FROM authenticators WHERE account_id = ?', [accountId]);
}

export async function insertRecoveryCode(tx: Tx, accountId: string, hash: Buffer): Promise<void> {
  await tx.run('INSERT INTO recovery_codes (account_id, hash) VALUES (?, ?)', [accountId, hash]);
}

/** Uses a recovery code, once; returns whether it was this call that did. */
export async function updateRecoveryCodeUsed(
  tx: Tx,
  accountId: string,
  hash: Buffer,
  now: number,
): Promise<boolean> {
  const spent = await tx.run(
    'UPDATE recovery_codes SET used_at = ? WHERE account_id = ? AND hash = ? AND used_at IS NULL',
    [now, accountId, hash],
  );
  return spent === 1;
}

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
