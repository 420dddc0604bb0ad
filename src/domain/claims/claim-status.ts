import { Failure } from '../../errors.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByTokenHash } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';

/** Why a claim cannot go on, told apart for the agent that holds its token. */

/** How long an agent waits before it asks again whether its human has approved. */
export const POLL_SECONDS = 5;

/**
 * The claim of a token, if it is open.
 *
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`
 */
export async function findOpenClaim(db: Pick<Tx, 'get'>, tokenHash: Buffer, now: number): Promise<ClaimRow> {
  const claim = await findClaimByTokenHash(db, tokenHash);
  if (claim === undefined) throw invalidClaimToken();
  assertClaimOpen(claim, now);
  return claim;
}

/** Says why a guarded statement on a claim did not win, if the reason is the claim's own state. */
export async function throwWhyClaimClosed(
  db: Pick<Tx, 'get'>,
  tokenHash: Buffer,
  now: number,
): Promise<void> {
  const claim = await findClaimByTokenHash(db, tokenHash);
  if (claim !== undefined) assertClaimOpen(claim, now);
}

/** @throws Failure if the claim is not open */
export function assertClaimOpen(claim: ClaimRow, now: number): void {
  if (claim.claimedAt !== null) {
    throw new Failure(
      'alreadyClaimed',
      'This agent is claimed already. Use the key that was given in the answer to that claim; it is not shown again. If it is lost, register again.',
    );
  }
  if (claim.endReason === 'superseded') {
    throw new Failure(
      'claimSuperseded',
      'The owner of the mailbox completed another claim, which ended this one. Register again to start anew.',
    );
  }
  if (claim.endReason === 'denied') {
    throw new Failure(
      'claimDenied',
      'The owner of the mailbox said no. Do not ask them again; register again only if another human is yours.',
    );
  }
  if (claim.endReason === 'revoked') {
    throw new Failure('claimRevoked', 'This agent was revoked. Register again.');
  }
  if (claim.endedAt !== null || claim.expiresAt <= now) {
    throw new Failure('claimExpired', 'This claim is over. Register again to get a new claim token.');
  }
}

/** Whether the codes of an attempt are of no use any more, so that only a new attempt leads on. */
export function isAttemptClosed(attempt: AttemptRow, triesMax: number, now: number): boolean {
  if (attempt.endedAt !== null || attempt.codeExpiresAt <= now) return true;
  const isSpent = attempt.tries >= triesMax;
  if (attempt.proof !== 'page') return attempt.proof === 'code' && isSpent;
  const canBeTyped = attempt.typed === 1 && attempt.typedTries < triesMax;
  return !canBeTyped && (attempt.reveal === null || isSpent);
}

export function invalidClaimToken(): Failure {
  return new Failure(
    'invalidClaimToken',
    'The claim token is not valid. Use the claim_token of your registration, or register again.',
  );
}
