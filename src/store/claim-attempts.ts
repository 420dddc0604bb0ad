import type { Tx } from './engine/db.ts';
import type { ClaimMode } from './registrations.ts';

/** An attempt of a claim: one mailbox, one mode, one code or link at a time. */
export interface AttemptRow {
  id: string;
  registrationId: string;
  mailbox: string;
  mode: ClaimMode;
  /** The coarse network of the request. */
  origin: string;
  /** The service secret from which the code is derived. */
  secretId: string;
  /** The number of the code: a new code of the same attempt has the next one. */
  counter: number;
  codeExpiresAt: number;
  tries: number;
  createdAt: number;
  endedAt: number | null;
  /** `superseded`, `completed`, `revoked` or `denied`; null: the attempt is active. */
  endReason: string | null;
  /** What its mail carries: the code, a link that approves the claim, or a link to the page that shows the code. */
  proof: 'code' | 'link' | 'page';
  /** The format of the code that the page shows; null: it shows none. */
  reveal: 'digits' | 'letters' | null;
  /** 1: the agent has a code that the human may type on the page. */
  typed: number;
  typedTries: number;
  approvedAt: number | null;
  /** When the human confirmed, and the page showed the code. */
  revealedAt: number | null;
  /** When the agent last polled for its human to type the code. */
  polledAt: number | null;
  /** The account that was signed in when the human approved or confirmed; null: none was. */
  confirmedBy: string | null;
  /** The user of a provider who may act for the owner once the claim is completed. */
  principal: string | null;
  /** What the human gave when they approved or confirmed, space-separated; null: all that a claim gives. */
  scope: string | null;
}

/** Inserts an active attempt. */
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
    | 'scope'
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

/** Finds the active attempt of a registration or, without one, the newest attempt that has ended. */
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

/** Ends the active attempts of a registration; returns them as they were in this moment. */
export function updateAttemptsEnded(
  tx: Tx,
  registrationId: string,
  reason: string,
  now: number,
): Promise<Pick<AttemptRow, 'id' | 'mailbox' | 'scope'>[]> {
  return tx.all(
    `UPDATE claim_attempts SET ended_at = ?, end_reason = ?
     WHERE registration_id = ? AND ended_at IS NULL RETURNING id, mailbox, scope`,
    [now, reason, registrationId],
  );
}

/** Ends the active attempts that would let a user of a provider act for an owner. */
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

/** Lists the registrations that have an active attempt on a mailbox, except one. */
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

/**
 * Marks an active attempt as approved by the owner of its mailbox, once.
 *
 * @param attempt `counter` identifies the mail whose link was used: a newer code invalidates the link
 */
export function updateAttemptApproved(
  tx: Tx,
  attempt: { id: string; counter: number },
  decision: Pick<AttemptRow, 'confirmedBy' | 'scope'>,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE claim_attempts SET approved_at = ?, confirmed_by = ?, scope = ?
     WHERE id = ? AND counter = ? AND ended_at IS NULL AND approved_at IS NULL`,
    [now, decision.confirmedBy, decision.scope, attempt.id, attempt.counter],
  );
}

/** Records, once, that the human confirmed an active attempt and sees its code. */
export function updateAttemptRevealed(
  tx: Tx,
  id: string,
  decision: Pick<AttemptRow, 'confirmedBy' | 'scope'>,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE claim_attempts SET revealed_at = ?, confirmed_by = ?, scope = ?
     WHERE id = ? AND ended_at IS NULL AND revealed_at IS NULL AND approved_at IS NULL AND reveal IS NOT NULL`,
    [now, decision.confirmedBy, decision.scope, id],
  );
}

/**
 * Counts a guess at the code that the human types, before the caller compares it.
 *
 * @returns the guesses counted so far; undefined: the attempt takes none, or none any more
 */
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

/**
 * Records that the agent polls for its human to type the code.
 *
 * @param notAfter epoch ms; where the previous poll was later, the agent polls too fast: returns 0
 */
export function updateAttemptPolled(tx: Tx, id: string, now: number, notAfter: number): Promise<number> {
  return tx.run(
    'UPDATE claim_attempts SET polled_at = ? WHERE id = ? AND (polled_at IS NULL OR polled_at <= ?)',
    [now, id, notAfter],
  );
}

/** Replaces the code of an active attempt by the next one; of concurrent calls, one returns 1 and the others 0. */
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
  polled_at AS "polledAt", confirmed_by AS "confirmedBy", principal, scope`;
