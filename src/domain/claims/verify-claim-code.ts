import { Failure } from '../../errors.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import { type ClaimRow, incrementClaimGuesses } from '../../store/claims.ts';
import { incrementTries } from '../../store/tries.ts';
import type { Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { isCode } from '../codes/one-time-codes.ts';
import { refuseUnreadable } from '../codes/secret-marks.ts';
import { type VerifiedCode, verifyCode } from '../codes/verify-code.ts';
import { guessLimits } from '../limits/limits.ts';
import { POLL_SECONDS, throwWhyClaimClosed } from './claim-status.ts';

/** A code that is tried at a claim. */

/**
 * One guess at the code of a claim's attempt; see verifyCode().
 *
 * @throws Failure `wrongCode`, which stays counted; `codeExpired`, or what the claim's own state says; `limited` or `unavailable` when a budget of wrong
 * guesses is spent
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
    refuseUnshown(attempt);
    await refuseUnreadable(tx, deps, attempt.secretId, now);
  }
  // Also the guarded statements below would refuse it, but behind rows that all guesses share: a flood at one dead code, which
  // costs its sender no budget, would hold up everybody.
  const guessed = isDead(attempt, triesPerCode, now)
    ? DEAD
    : await verifyCode(work, {
        counters: guessLimits(attempt.mailbox, origin.address),
        async countTry() {
          if (!(await incrementClaimGuesses(tx, claim.tokenHash, triesPerCode * codesPerClaim, now)))
            return undefined;
          return incrementTries(tx, 'claim_attempts', attempt, triesPerCode, now);
        },
        isRight: () => attempt.proof !== 'link' && isCode(deps, attempt, code),
      });
  if (guessed.kind === 'dead') {
    // While this guess waited, another may have completed or ended the claim.
    await throwWhyClaimClosed(tx, claim.tokenHash, now);
    throw codeExpired();
  }
  if (guessed.kind === 'right') return;
  await record(work, { kind: 'claim.guess_failed', subject: claim.registrationId });
  work.failAfterCommit(wrongCode(guessed.attemptsRemaining));
}

/**
 * A code on the page is none before the human has confirmed there; whatever is brought says nothing and costs nothing
 * (docs/dialects/production.md).
 */
function refuseUnshown(attempt: AttemptRow): void {
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

const DEAD: VerifiedCode = { kind: 'dead' };

function isDead(attempt: AttemptRow, triesMax: number, now: number): boolean {
  return attempt.endedAt !== null || attempt.tries >= triesMax || attempt.codeExpiresAt <= now;
}

/** The code of an attempt is of no use any more. */
export function codeExpired(): Failure {
  return new Failure(
    'codeExpired',
    'The code has expired or was guessed wrong too often. Call the claim endpoint again for a new code.',
  );
}

export function wrongCode(attemptsRemaining: number): Failure {
  const next =
    attemptsRemaining > 0
      ? 'Ask your human to read it again: only the newest code counts.'
      : 'Call the claim endpoint again for a new code.';
  return new Failure('wrongCode', `The code is wrong. ${next}`, { attemptsRemaining });
}
