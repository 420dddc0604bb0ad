import { Failure } from '../../errors.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import { type ClaimRow, incrementClaimGuesses } from '../../store/claims.ts';
import { incrementTries } from '../../store/tries.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { isClaimCode } from '../codes/one-time-codes.ts';
import { assertSecretReadable } from '../codes/secret-marks.ts';
import { type CodeVerification, verifyCode } from '../codes/verify-code.ts';
import { claimGuessLimits } from '../limits/limits.ts';
import { POLL_SECONDS, throwWhyClaimClosed } from './claim-status.ts';

/** Verification of the code of a claim's attempt. */

/**
 * Counts and verifies one guess at the code of a claim's attempt; see verifyCode().
 *
 * @param code as the agent sent it or the human typed it
 * @throws Failure `wrongCode`, after a commit that keeps the guess counted; `codeExpired`; `notConfirmed` or `methodDisabled`
 * while the page shows no code; `limited` or `unavailable` when a limit of wrong guesses is exhausted; as assertClaimOpen()
 */
export async function verifyClaimCode(
  work: Work,
  claim: ClaimRow,
  attempt: AttemptRow,
  code: string,
): Promise<void> {
  const { tx, now, deps, origin } = work;
  const { triesPerCode, codesPerClaim } = deps.config.limits;
  if (attempt.endedAt === null) {
    assertCodeShown(attempt);
    await assertSecretReadable(tx, deps, attempt.secretId, now);
  }
  // The guarded statements below refuse a dead code as well, but only after they lock counters that other guesses share. A guess
  // at a dead code consumes no limit, so a flood of them would block everybody's guesses.
  const verified = isCodeDead(attempt, triesPerCode, now)
    ? DEAD
    : await verifyCode(work, {
        counters: claimGuessLimits(attempt.mailbox, origin.address),
        async countTry() {
          if (!(await incrementClaimGuesses(tx, claim.tokenHash, triesPerCode * codesPerClaim, now)))
            return undefined;
          return incrementTries(tx, 'claim_attempts', attempt, triesPerCode, now);
        },
        isRight: () => attempt.proof !== 'link' && isClaimCode(deps, attempt, code),
      });
  if (verified.kind === 'dead') {
    // While this guess waited for a lock, another request may have completed or ended the claim.
    await throwWhyClaimClosed(tx, claim.tokenHash, now);
    throw codeExpired();
  }
  if (verified.kind === 'right') return;
  await recordEvent(work, { kind: 'claim.guess_failed', subject: claim.registrationId });
  work.failAfterCommit(wrongCode(verified.attemptsRemaining));
}

/**
 * Before the human confirms on the page there is no code to guess. The failure is the same for every code, and no guess is
 * counted (docs/dialects/production.md).
 */
function assertCodeShown(attempt: AttemptRow): void {
  if (attempt.proof !== 'page' || attempt.revealedAt !== null) return;
  if (attempt.reveal === null) {
    throw new Failure(
      'methodDisabled',
      'This service takes no code here: your human types the user_code at verification_uri. Poll the token endpoint.',
    );
  }
  throw new Failure(
    'notConfirmed',
    'Your human has not confirmed yet. They open the page, confirm, and read the code to you.',
    { retryAfterSeconds: POLL_SECONDS },
  );
}

const DEAD: CodeVerification = { kind: 'dead' };

function isCodeDead(attempt: AttemptRow, triesMax: number, now: number): boolean {
  return attempt.endedAt !== null || attempt.tries >= triesMax || attempt.codeExpiresAt <= now;
}

/** Returns the failure for an attempt whose code has expired or has no tries left. */
export function codeExpired(): Failure {
  return new Failure(
    'codeExpired',
    'The code has expired or was guessed wrong too often. Call the claim endpoint again for a new code.',
  );
}

/** Returns the failure for a wrong guess. */
export function wrongCode(attemptsRemaining: number): Failure {
  const nextStep =
    attemptsRemaining > 0
      ? 'Ask your human to read it again: only the newest code counts.'
      : 'Call the claim endpoint again for a new code.';
  return new Failure('wrongCode', `The code is wrong. ${nextStep}`, { attemptsRemaining });
}
