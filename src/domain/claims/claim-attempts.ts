import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { type AttemptRow, insertAttempt, updateAttemptsEnded } from '../../store/claim-attempts.ts';
import { type ClaimRow, incrementClaimCodes, updateClaimEnded } from '../../store/claims.ts';
import { updateUnsentMailDead } from '../../store/outbox.ts';
import type { ClaimMode } from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { deriveTypedCode } from '../codes/one-time-codes.ts';
import { attemptLimits } from '../limits/limits.ts';
import { areGuessesExhausted, consumeLimits } from '../limits/rate-limiter.ts';
import type { ClaimFlow } from './claim-flows.ts';
import { viewLink } from './claim-links.ts';
import { throwWhyClaimClosed } from './claim-status.ts';

/** An attempt of a claim: one question to one mailbox. */

/** An attempt as the agent that asked for it is told of it. */
export interface OpenedAttempt {
  registrationId: string;
  attemptId: string;
  mailbox: string;
  /** The page on which the human reviews it. */
  verificationUri: string;
  /** What is in the mail; undefined in an answer that an earlier version has kept. */
  proof?: AttemptRow['proof'];
  /** Epoch ms. */
  codeExpiresAt: number;
  /** For the human to type, where there is one. */
  typedCode: string | undefined;
}

/** What its agent is told of an attempt. */
export function describeAttempt(deps: Deps, attempt: AttemptRow): OpenedAttempt {
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
 * The new live attempt of a claim, and the mail that carries its code or link, in the caller's transaction. The attempt before
 * it ends, and its mail is dropped if it has not left.
 *
 * @param input.principal the user of a provider who may act for the owner afterwards
 * @throws Failure `tooManyAttempts` when the claim has had all its codes, or its agent all its attempts; `limited` when a budget of mail is spent
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
): Promise<OpenedAttempt> {
  const { tx, now, deps, origin } = work;
  const { limits } = deps.config;
  const { claim, mailbox, mode, ceremony } = input;
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
  // Where too many codes were guessed at, there is to be nothing to guess (S-07, S-17).
  const isLink =
    ceremony.proof === 'code' && (await areGuessesExhausted(work, 'wrongPerMailboxDay', mailbox));
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
    proof: isLink ? ('link' as const) : ceremony.proof,
    reveal: ceremony.reveal,
    typed: ceremony.typed,
    principal: input.principal ?? null,
  };
  await insertAttempt(tx, attempt);
  if (ceremony.isMailed) {
    await queueMail(work, {
      kind: 'claim_code',
      attemptId: attempt.id,
      mailbox,
      giveUpAt: claim.expiresAt,
    });
  }
  await record(work, {
    kind: 'claim.started',
    subject: claim.registrationId,
    details: { mode },
  });
  await consumeLimits(work, attemptLimits(mailbox, origin.address, claim.registrationId, ceremony.isMailed));
  return describeAttempt(deps, { ...attempt, ...UNTOUCHED });
}

const UNTOUCHED = {
  tries: 0,
  typedTries: 0,
  endedAt: null,
  endReason: null,
  approvedAt: null,
  revealedAt: null,
  polledAt: null,
  confirmedBy: null,
};

/**
 * Ends the claim of a registration before it is completed, with its live attempts and their mails, in the caller's transaction.
 *
 * @returns whether it was open
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

/** Ends the live attempts of a registration, and drops their mails that have not left. */
export async function withdrawAttempts(
  work: Work,
  registrationId: string,
  reason: 'superseded' | 'completed' | 'denied' | 'revoked',
): Promise<void> {
  const { tx, now } = work;
  for (const attempt of await updateAttemptsEnded(tx, registrationId, reason, now)) {
    await updateUnsentMailDead(tx, attempt.id, now);
  }
}
