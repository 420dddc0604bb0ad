import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { type AttemptRow, insertAttempt, updateAttemptsEnded } from '../../store/claim-attempts.ts';
import { type ClaimRow, incrementClaimCodes, updateClaimEnded } from '../../store/claims.ts';
import { updateUnsentMailDead } from '../../store/outbox.ts';
import type { ClaimMode } from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { deriveTypedCode } from '../codes/one-time-codes.ts';
import { claimAttemptLimits } from '../limits/limits.ts';
import { areGuessesExhausted, consumeLimits } from '../limits/rate-limiter.ts';
import type { ClaimFlow } from './claim-flows.ts';
import { viewLink } from './claim-links.ts';
import { throwWhyClaimClosed } from './claim-status.ts';

/** Attempts of a claim: each asks one mailbox, with one code or link. */

/** An attempt as its agent sees it. */
export interface AttemptView {
  registrationId: string;
  attemptId: string;
  mailbox: string;
  /** URL of the page on which the human reviews the attempt. */
  verificationUri: string;
  /** What the mail carries. Undefined in a response that an earlier version stored for an Idempotency-Key. */
  proof?: AttemptRow['proof'];
  /** Epoch ms. */
  codeExpiresAt: number;
  /** The code that the agent shows and its human types on the page; undefined if the flow has none. */
  typedCode: string | undefined;
}

/** Returns an attempt as its agent sees it. */
export function toAttemptView(deps: Deps, attempt: AttemptRow): AttemptView {
  return {
    registrationId: attempt.registrationId,
    attemptId: attempt.id,
    mailbox: attempt.mailbox,
    verificationUri: viewLink(deps, attempt.registrationId, attempt.id),
    proof: attempt.proof,
    codeExpiresAt: attempt.codeExpiresAt,
    typedCode: deriveTypedCode(deps, attempt),
  };
}

/**
 * Creates the live attempt of a claim and queues the mail with its code or link, in the caller's transaction. Supersedes the
 * previous attempt and dead-letters its unsent mail.
 *
 * @param input.mailbox canonical
 * @param input.principal the user of an agent provider who may act for the owner once the claim is completed
 * @throws Failure `tooManyAttempts` when the codes of the claim (S-04) or the attempts of the agent are exhausted; `limited` when
 * another limit is exhausted (S-46); as assertClaimOpen() when the claim is not open
 */
export async function createAttempt(
  work: Work,
  input: {
    claim: Pick<ClaimRow, 'tokenHash' | 'registrationId' | 'expiresAt'>;
    mailbox: string;
    mode: ClaimMode;
    ceremony: ClaimFlow;
    principal?: string | undefined;
  },
): Promise<AttemptView> {
  const { tx, now, deps, origin } = work;
  const { limits } = deps.config;
  const { claim, mailbox, mode, ceremony: flow } = input;
  if (!(await incrementClaimCodes(tx, claim.tokenHash, limits.codesPerClaim, now))) {
    await throwWhyClaimClosed(tx, claim.tokenHash, now);
    const seconds = Math.max(1, Math.ceil((claim.expiresAt - now) / 1000));
    throw new Failure(
      'tooManyAttempts',
      'All codes of this claim were used. Register again to get a new claim token.',
      { retryAfterSeconds: seconds },
    );
  }
  await withdrawAttempts(work, claim.registrationId, 'superseded');
  // After too many wrong guesses the mail carries a link instead of digits, so that nothing is left to guess (S-07, S-17).
  const isLink = flow.proof === 'code' && (await areGuessesExhausted(work, 'wrongPerMailboxDay', mailbox));
  const attempt = {
    id: newId('cla', now, deps.random),
    registrationId: claim.registrationId,
    mailbox,
    mode,
    origin: origin.address.coarse,
    secretId: deps.keyring.currentId,
    counter: 1,
    codeExpiresAt: now + limits.codeTtlSeconds * 1000,
    createdAt: now,
    proof: isLink ? ('link' as const) : flow.proof,
    reveal: flow.reveal,
    typed: flow.typed,
    principal: input.principal ?? null,
  };
  await insertAttempt(tx, attempt);
  if (flow.isMailed) {
    await queueMail(work, {
      kind: 'claim_code',
      attemptId: attempt.id,
      mailbox,
      giveUpAt: claim.expiresAt,
    });
  }
  await recordEvent(work, {
    kind: 'claim.started',
    subject: claim.registrationId,
    details: { mode },
  });
  await consumeLimits(work, claimAttemptLimits(mailbox, origin.address, claim.registrationId, flow.isMailed));
  return toAttemptView(deps, { ...attempt, ...INITIAL_STATE });
}

/** The columns that insertAttempt() leaves at their defaults. */
const INITIAL_STATE = {
  tries: 0,
  typedTries: 0,
  endedAt: null,
  endReason: null,
  approvedAt: null,
  revealedAt: null,
  polledAt: null,
  confirmedBy: null,
  scope: null,
};

/**
 * Ends a claim that is not completed, with its live attempts and their unsent mails, in the caller's transaction.
 *
 * @returns false if the claim was completed or had ended before
 */
export async function closeClaim(
  work: Work,
  registrationId: string,
  reason: 'superseded' | 'denied' | 'revoked',
): Promise<boolean> {
  const isClosed = (await updateClaimEnded(work.tx, registrationId, reason, work.now)) === 1;
  await withdrawAttempts(work, registrationId, reason);
  return isClosed;
}

/**
 * Ends the live attempts of a registration and dead-letters their unsent mails, in the caller's transaction.
 *
 * @returns whom they asked, and the scopes that were given, see AttemptRow
 */
export async function withdrawAttempts(
  work: Work,
  registrationId: string,
  reason: 'superseded' | 'completed' | 'denied' | 'revoked',
): Promise<Pick<AttemptRow, 'id' | 'mailbox' | 'scope'>[]> {
  const { tx, now } = work;
  const ended = await updateAttemptsEnded(tx, registrationId, reason, now);
  for (const attempt of ended) await updateUnsentMailDead(tx, attempt.id, now);
  return ended;
}
