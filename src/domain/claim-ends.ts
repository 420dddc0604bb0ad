import type { Deps } from '../deps.ts';
import { findClaimByTokenHash } from '../store/claims.ts';
import { findRegistration } from '../store/registrations.ts';
import { invalidClaimToken } from './claim-state.ts';
import { hashClaimToken } from './claims.ts';
import type { Gives } from './giving.ts';

/**
 * What a claim that is completed as auth.md v0.1 does it gives: an anonymous agent keeps its key, which is widened; others get
 * the credential that they asked for when they registered (auth-md.md 2a.4).
 *
 * @throws Failure `invalidClaimToken`
 */
export async function findCeremonyEnd(deps: Pick<Deps, 'db'>, claimToken: string): Promise<Gives> {
  const claim = await findClaimByTokenHash(deps.db, hashClaimToken(claimToken));
  const registration = claim && (await findRegistration(deps.db, claim.registrationId));
  if (registration === undefined) throw invalidClaimToken();
  if (registration.kind === 'anonymous' && registration.credentialType !== null) return 'wider_keys';
  return registration.credentialType === 'access_token' ? 'token' : 'key';
}
