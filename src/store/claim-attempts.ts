import type { Tx } from './db.ts';
import type { ClaimMode } from './registrations.ts';

export interface AttemptRow {
  id: string;
  registrationId: string;
  mailbox: string;
  mode: ClaimMode;
  origin: string;
  secretId: string;
  counter: number;
  codeExpiresAt: number;
  tries: number;
  createdAt: number;
  endedAt: number | null;
  /** What its mail carries. */
  proof: 'code' | 'link';
  approvedAt: number | null;
  /** The account that was signed in when it was approved. */
  confirmedBy: string | null;
}

export async function insertAttempt(
  tx: Tx,
  attempt: Omit<AttemptRow, 'tries' | 'endedAt' | 'approvedAt' | 'confirmedBy'>,
): Promise<void> {
  await tx.run(
    `INSERT INTO claim_attempts
       (id, registration_id, mailbox, mode, origin, secret_id, counter, code_expires_at, created_at, proof)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      attempt.id,
      attempt.registrationId,
      attempt.mailbox,
      attempt.mode,
      attempt.origin,
      attempt.secretId,
      attempt.counter,
      attempt.codeExpiresAt,
      attempt.createdAt,
      attempt.proof,
    ],
  );
}

export function findAttempt(db: Pick<Tx, 'get'>, id: string): Promise<AttemptRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM claim_attempts WHERE id = ?`, [id]);
}

/** The newest attempt of a registration, ended or not: the live one, if there is one. */
export function findLastAttempt(
  db: Pick<Tx, 'get'>,
  registrationId: string,
): Promise<AttemptRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM claim_attempts WHERE registration_id = ?
     ORDER BY (ended_at IS NULL) DESC, id DESC LIMIT 1`,
    [registrationId],
  );
}

/** Ends the live attempts of a registration; returns their ids. */
export function endAttempts(
  tx: Tx,
  registrationId: string,
  reason: string,
  now: number,
): Promise<{ id: string }[]> {
  return tx.all(
    `UPDATE claim_attempts SET ended_at = ?, end_reason = ?
     WHERE registration_id = ? AND ended_at IS NULL RETURNING id`,
    [now, reason, registrationId],
  );
}

/** The registrations, but one, that have a live attempt on a mailbox. */
export function listPendingOnMailbox(
  tx: Tx,
  mailbox: string,
  exceptRegistrationId: string,
): Promise<{ registrationId: string }[]> {
  return tx.all(
    `SELECT DISTINCT registration_id AS "registrationId" FROM claim_attempts
     WHERE mailbox = ? AND ended_at IS NULL AND registration_id <> ? ORDER BY registration_id`,
    [mailbox, exceptRegistrationId],
  );
}

/** Marks a live attempt as approved by the owner of its mailbox, once; `counter` names the mail that was answered. */
export function approveAttempt(
  tx: Tx,
  attempt: { id: string; counter: number },
  confirmedBy: string | null,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE claim_attempts SET approved_at = ?, confirmed_by = ?
     WHERE id = ? AND counter = ? AND ended_at IS NULL AND approved_at IS NULL`,
    [now, confirmedBy, attempt.id, attempt.counter],
  );
}

/** Replaces the code of a live attempt by the next one, if nobody else just did. */
export function remintCode(
  tx: Tx,
  attempt: { id: string; counter: number },
  secretId: string,
  expiresAt: number,
): Promise<number> {
  return tx.run(
    `UPDATE claim_attempts SET counter = counter + 1, secret_id = ?, code_expires_at = ?
     WHERE id = ? AND counter = ? AND ended_at IS NULL`,
    [secretId, expiresAt, attempt.id, attempt.counter],
  );
}

const COLUMNS = `id, registration_id AS "registrationId", mailbox, mode, origin, secret_id AS "secretId", counter,
  code_expires_at AS "codeExpiresAt", tries, created_at AS "createdAt", ended_at AS "endedAt",
  proof, approved_at AS "approvedAt", confirmed_by AS "confirmedBy"`;
