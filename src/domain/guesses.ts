import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { type AttemptRow, spendTry } from '../store/claim-attempts.ts';
import { type ClaimRow, spendGuess } from '../store/claims.ts';
import type { Tx } from '../store/db.ts';
import { explainClosed } from './claim-state.ts';
import { isCode } from './codes.ts';
import { type Asker, record } from './events.ts';
import { guessSpendings, refund, spend } from './limits.ts';

/**
 * Compares one guess at the code of an attempt, in the caller's transaction. The guess is counted on every budget before it
 * is compared; only a right one gets its counts back.
 *
 * @returns undefined for a right guess; for a wrong one the failure to throw outside, so that its counts are committed
 * @throws Failure `codeExpired`, or what the claim's own state says; `limited` or `unavailable` when a budget of wrong
 * guesses is spent
 */
export async function guess(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  claim: ClaimRow,
  attempt: AttemptRow,
  code: string,
): Promise<Failure | undefined> {
  const { limits } = deps.config;
  // Also the guarded statement below would refuse it, but behind rows that all guesses share: a flood at one dead code, which
  // costs its sender no budget, would hold up everybody.
  if (isDead(attempt, limits.triesPerCode, now)) return refuseDeadCode(tx, claim, now);

  const spendings = guessSpendings(attempt.mailbox, asker.address);
  await spend(tx, deps, spendings, now);
  const guessesMax = limits.triesPerCode * limits.codesPerClaim;
  const counted = await spendGuess(tx, claim.tokenHash, guessesMax, now);
  const tries = counted
    ? await spendTry(tx, attempt.id, attempt.counter, limits.triesPerCode, now)
    : undefined;
  if (tries === undefined) return refuseDeadCode(tx, claim, now);

  if (attempt.proof === 'code' && isCode(deps, attempt, code)) {
    await refund(tx, spendings);
    return undefined;
  }
  await record(tx, deps, asker, now, { kind: 'claim.guess_failed', subject: claim.registrationId });
  return wrongCode(limits.triesPerCode - tries);
}

function isDead(attempt: AttemptRow, triesMax: number, now: number): boolean {
  return attempt.endedAt !== null || attempt.tries >= triesMax || attempt.codeExpiresAt <= now;
}

async function refuseDeadCode(tx: Tx, claim: ClaimRow, now: number): Promise<never> {
  // While this guess stood in line, another may have completed or ended the claim.
  await explainClosed(tx, claim.tokenHash, now);
  throw codeExpired();
}

/** The code of an attempt is of no use any more. */
export function codeExpired(): Failure {
  return new Failure(
    'codeExpired',
    'The code has expired or was guessed wrong too often. Call the claim endpoint again for a new code.',
  );
}

function wrongCode(attemptsRemaining: number): Failure {
  const next =
    attemptsRemaining > 0
      ? 'Ask your human to read it again.'
      : 'Call the claim endpoint again for a new code.';
  return new Failure('wrongCode', `The code is wrong. ${next}`, { attemptsRemaining });
}
