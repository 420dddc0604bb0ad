import type { Work } from '../../work.ts';
import type { LimitCounter } from '../limits/limits.ts';
import { consumeLimits, refundLimits } from '../limits/rate-limiter.ts';

/**
 * The result of a guess. `dead`: the code has expired, has ended or has no tries left; the guess must consume nothing.
 */
export type CodeVerification =
  | { kind: 'right' }
  | { kind: 'wrong'; attemptsRemaining: number }
  | { kind: 'dead' };

/**
 * Verifies one guess at a code, in the caller's transaction. All counters are consumed before the guess is compared,
 * and refunded if it is right (S-08). So the caller must commit after `wrong`, by Work.failAfterCommit(), and roll back
 * after `dead`. The caller passes SERVICE_GUESS as `sharedLimits` to useCase() if the guess counts against the whole
 * service.
 *
 * @param guess.counters the counters of wrong guesses to consume
 * @param guess.countTry counts a try of this code; returns the tries counted so far, undefined if the code is dead
 * @throws Failure `limited` or `unavailable` if a counter of wrong guesses is exhausted
 */
export async function verifyCode(
  work: Work,
  guess: {
    counters: readonly LimitCounter[];
    countTry(): Promise<number | undefined>;
    isRight(): boolean | Promise<boolean>;
  },
): Promise<CodeVerification> {
  const { tx, deps } = work;
  const { counters } = guess;
  await consumeLimits(work, counters);
  await work.consumeSharedLimits();
  const tries = await guess.countTry();
  if (tries === undefined) return { kind: 'dead' };
  if (!(await guess.isRight())) {
    return { kind: 'wrong', attemptsRemaining: deps.config.limits.triesPerCode - tries };
  }
  await refundLimits(tx, counters);
  await work.refundSharedLimits();
  return { kind: 'right' };
}
