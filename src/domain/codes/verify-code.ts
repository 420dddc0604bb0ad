import type { Deps } from '../../deps.ts';
import type { Tx } from '../../store/db.ts';
import type { Asker } from '../audit/audit-log.ts';
import type { Spending } from '../limits/limits.ts';
import { refund, spend } from '../limits/rate-limiter.ts';
import type { SharedBudgets } from '../limits/shared-counters.ts';

/** What came of a guess; a wrong one is counted. `dead`: there was nothing left to guess at, and it must cost nothing. */
export type Guessed = { kind: 'right' } | { kind: 'wrong'; attemptsRemaining: number } | { kind: 'dead' };

/**
 * One guess at a code, in the caller's transaction. It is counted on every budget before it is compared; only a right one
 * gets its counts back. So the caller commits after a wrong one, and throws what it makes of it outside.
 *
 * @param shared of SERVICE_GUESS
 * @param at.spendings the budgets of wrong guesses that it costs
 * @param at.countTry takes one of the code's own tries; the tries used so far, or undefined when it has none left
 * @throws Failure `limited` or `unavailable` when a budget of wrong guesses is spent
 */
export async function guess(
  tx: Tx,
  deps: Deps,
  _asker: Asker,
  now: number,
  at: {
    spendings: readonly Spending[];
    countTry(): Promise<number | undefined>;
    isRight(): boolean | Promise<boolean>;
  },
  shared: SharedBudgets,
): Promise<Guessed> {
  const { spendings } = at;
  await spend(tx, deps, spendings, now);
  await shared.use();
  const tries = await at.countTry();
  if (tries === undefined) return { kind: 'dead' };
  if (!(await at.isRight())) {
    return { kind: 'wrong', attemptsRemaining: deps.config.limits.triesPerCode - tries };
  }
  await refund(tx, spendings);
  await shared.giveBack();
  return { kind: 'right' };
}
