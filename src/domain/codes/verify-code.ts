import type { Work } from '../../work.ts';
import type { LimitCounter } from '../limits/limits.ts';
import { consumeLimits, refundLimits } from '../limits/rate-limiter.ts';

/** What came of a guess; a wrong one is counted. `dead`: there was nothing left to guess at, and it must cost nothing. */
export type VerifiedCode =
  | { kind: 'right' }
  | { kind: 'wrong'; attemptsRemaining: number }
  | { kind: 'dead' };

/**
 * One guess at a code, in the caller's transaction. It is counted on every budget before it is compared; only a right one
 * gets its counts back. So the caller commits after a wrong one, and throws what it makes of it outside.
 *
 * @param shared of SERVICE_GUESS
 * @param at.counters the budgets of wrong guesses that it costs
 * @param at.countTry takes one of the code's own tries; the tries used so far, or undefined when it has none left
 * @throws Failure `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export async function verifyCode(
  work: Work,
  at: {
    counters: readonly LimitCounter[];
    countTry(): Promise<number | undefined>;
    isRight(): boolean | Promise<boolean>;
  },
): Promise<VerifiedCode> {
  const { tx, deps } = work;
  const { counters } = at;
  await consumeLimits(work, counters);
  await work.consumeSharedLimits();
  const tries = await at.countTry();
  if (tries === undefined) return { kind: 'dead' };
  if (!(await at.isRight())) {
    return { kind: 'wrong', attemptsRemaining: deps.config.limits.triesPerCode - tries };
  }
  await refundLimits(tx, counters);
  await work.refundSharedLimits();
  return { kind: 'right' };
}
