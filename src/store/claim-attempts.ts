import type { Tx } from './engine/db.ts';
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
  /** superseded, completed, revoked, denied. */
  endReason: string | null;
  /** What its mail carries: the code, a link that approves, or one to the page on which the code is shown. */
  proof: 'code' | 'link' | 'page';
  /** How the code that the page shows looks; null: it shows none. */
  reveal: 'digits' | 'letters' | null;
  /** 1: the agent has a code that the human may type. */
  typed: number;
  typedTries: number;
  approvedAt: number | null;
  /** When the human confirmed, and was shown the code. */
  revealedAt: number | null;
  /** When the agent last asked whether its human had typed the code. */
  polledAt: number | null;
  /** The account that was signed in when it was approved or confirmed. */
  confirmedBy: string | null;
  /** The user of a provider who may act for the owner afterwards. */
  principal: string | null;
}

export async function insertAttempt(
  tx: Tx,
  attempt: Omit<
    AttemptRow,
    | 'tries'
    | 'typedTries'
    | 'endedAt'
    | 'endReason'
    | 'approvedAt'
    | 'revealedAt'
    | 'polledAt'
    | 'confirmedBy'
  >,
): Promise<void> {
  await tx.run(
    `INSERT INTO claim_attempts
       (id, registration_id, mailbox, mode, origin, secret_id, counter, code_expires_at, created_at, proof, reveal, typed,
        principal)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
      attempt.reveal,
      attempt.typed,
      attempt.principal,
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
export function updateAttemptsEnded(
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

/** Ends the live attempts that a user of a provider began for agents of others. */
export function updateAttemptsOfPrincipalEnded(
  tx: Tx,
  principal: string,
  reason: string,
  now: number,
): Promise<number> {
  return tx.run(
    'UPDATE claim_attempts SET ended_at = ?, end_reason = ? WHERE principal = ? AND ended_at IS NULL',
    [now, reason, principal],
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
export function updateAttemptApproved(
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

/** Notes that the human confirmed a live attempt and is shown its code, with the account that was signed in; the first time counts. */
export function updateAttemptRevealed(
  tx: Tx,
  id: string,
  confirmedBy: string | null,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE claim_attempts SET revealed_at = ?, confirmed_by = ?
     WHERE id = ? AND ended_at IS NULL AND revealed_at IS NULL AND approved_at IS NULL AND reveal IS NOT NULL`,
    [now, confirmedBy, id],
  );
}

/** Counts a guess at the code that the human types, before it is compared; says whether there was one left. */
export function incrementTypedTries(
  tx: Tx,
  id: string,
  triesMax: number,
  now: number,
): Promise<{ tries: number } | undefined> {
  return tx.get(
    `UPDATE claim_attempts SET typed_tries = typed_tries + 1
     WHERE id = ? AND typed = 1 AND ended_at IS NULL AND code_expires_at > ? AND typed_tries < ?
     RETURNING typed_tries AS tries`,
    [id, now, triesMax],
  );
}

/** Notes that the agent asks whether its human has typed the code, unless it did so a moment ago. */
export function updateAttemptPolled(tx: Tx, id: string, now: number, notAfter: number): Promise<number> {
  return tx.run(
    'UPDATE claim_attempts SET polled_at = ? WHERE id = ? AND (polled_at IS NULL OR polled_at <= ?)',
    [now, id, notAfter],
  );
}

/** Replaces the code of a live attempt by the next one, if nobody else just did. */
export function updateAttemptCode(
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
  code_expires_at AS "codeExpiresAt", tries, created_at AS "createdAt", ended_at AS "endedAt", end_reason AS "endReason",
  proof, reveal, typed, typed_tries AS "typedTries", approved_at AS "approvedAt", revealed_at AS "revealedAt",
  polled_at AS "polledAt", confirmed_by AS "confirmedBy", principal`;
