import { hashSecret, isWellFormedSecret } from '../../lib/secrets.ts';
import type { ClaimRow } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findRegistration } from '../../store/registrations.ts';
import { invalidClaimToken } from './claim-status.ts';

/** The token of a claim, and the credential that a request may send beside it. */

/** The bearer credential that a request may send beside a claim token. It must belong to the same agent (S-25). */
export interface AccompanyingBearer {
  /** Undefined for a human's own key, which matches no claim token. */
  agentId: string | undefined;
}

/**
 * Hashes a claim token for its lookup.
 *
 * @param claimToken plain
 * @throws Failure `invalidClaimToken` if its prefix or checksum is wrong
 */
export function hashClaimToken(claimToken: string): Buffer {
  if (!isWellFormedSecret('ct', claimToken) && !isWellFormedSecret('clm', claimToken))
    throw invalidClaimToken();
  return hashSecret(claimToken);
}

/** @throws Failure `invalidClaimToken` if the request's bearer credential belongs to another agent (S-25) */
export async function assertSameAgent(
  tx: Tx,
  claim: ClaimRow,
  companion: AccompanyingBearer | undefined,
): Promise<void> {
  if (companion === undefined) return;
  const registration = await findRegistration(tx, claim.registrationId);
  if (registration?.agentId !== companion.agentId) throw invalidClaimToken();
}
