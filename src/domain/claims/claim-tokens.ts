import { hashSecret, wellFormed } from '../../lib/secrets.ts';
import type { ClaimRow } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findRegistration } from '../../store/registrations.ts';
import { invalidClaimToken } from './claim-status.ts';

/** The token of a claim, and the bearer that may come along with it. */

/** The bearer that may come along with a claim token; it must then be of the same agent (S-25). */
export interface AccompanyingBearer {
  /** Undefined: a human's own key, which comes along with no claim token. */
  agentId: string | undefined;
}

/** @throws Failure `invalidClaimToken` for what cannot be one */
export function hashClaimToken(claimToken: string): Buffer {
  if (!wellFormed('ct', claimToken) && !wellFormed('clm', claimToken)) throw invalidClaimToken();
  return hashSecret(claimToken);
}

/** @throws Failure `invalidClaimToken` where the bearer that came along is of another agent (S-25) */
export async function checkCompanion(
  tx: Tx,
  claim: ClaimRow,
  companion: AccompanyingBearer | undefined,
): Promise<void> {
  if (companion === undefined) return;
  const registration = await findRegistration(tx, claim.registrationId);
  if (registration?.agentId !== companion.agentId) throw invalidClaimToken();
}
