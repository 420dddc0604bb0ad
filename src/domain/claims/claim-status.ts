import { Failure } from '../../errors.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import { type ClaimRow, findClaimByTokenHash } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';

/** Whether a claim or an attempt is open, and the failure that tells the holder of the claim token why not. */

/** The interval in seconds at which an agent polls for the approval of its human. */
export const POLL_SECONDS = 5;

/**
 * Finds the open claim of a claim token.
 *
 * @param now epoch ms
 * @throws Failure `invalidClaimToken` for an unknown token; otherwise as assertClaimOpen()
 */
export async function findOpenClaim(db: Pick<Tx, 'get'>, tokenHash: Buffer, now: number): Promise<ClaimRow> {
  const claim = await findClaimByTokenHash(db, tokenHash);
  if (claim === undefined) throw invalidClaimToken();
  assertClaimOpen(claim, now);
  return claim;
}

/**
 * Throws the reason why a guarded statement on a claim changed no row, if that reason is the state of the claim.
 *
 * @param now epoch ms
 * @throws Failure as assertClaimOpen()
 */
export async function throwWhyClaimClosed(
  db: Pick<Tx, 'get'>,
  tokenHash: Buffer,
  now: number,
): Promise<void> {
  const claim = await findClaimByTokenHash(db, tokenHash);
  if (claim !== undefined) assertClaimOpen(claim, now);
}

/**
 * Refuses a claim that is not open.
 *
 * @param now epoch ms
 * @throws Failure `alreadyClaimed`, `claimSuperseded`, `claimDenied`, `claimRevoked`, `claimExpired`
 */
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

/**
 * Returns whether an attempt has ended, has expired, or has exhausted the tries of all its codes. The agent then needs a new one.
 *
 * @param triesMax tries per code
 * @param now epoch ms
 */
export function isAttemptClosed(attempt: AttemptRow, triesMax: number, now: number): boolean {
  if (attempt.endedAt !== null || attempt.codeExpiresAt <= now) return true;
  const isExhausted = attempt.tries >= triesMax;
  if (attempt.proof !== 'page') return attempt.proof === 'code' && isExhausted;
  const canType = attempt.typed === 1 && attempt.typedTries < triesMax;
  return !canType && (attempt.reveal === null || isExhausted);
}

/** Returns the failure for a claim token that is unknown, malformed or of another agent. */
export function invalidClaimToken(): Failure {
  return new Failure(
    'invalidClaimToken',
    'The claim token is not valid. Use the claim_token of your registration, or register again.',
  );
}
