import type { Deps } from '../../deps.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { type AttemptView, createAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import { findOpenClaim } from '../claims/claim-status.ts';
import { type AccompanyingBearer, assertSameAgent, hashClaimToken } from '../claims/claim-tokens.ts';
import { type CompletedClaim, completeProvenClaim } from '../claims/complete-claim.ts';
import { issueAdditional } from '../claims/issue-on-claim.ts';
import { requiresOwnerSession } from '../claims/owner-policy.ts';
import { effectiveAccessOf } from '../credentials/effective-access.ts';
import { useCase } from '../limits/use-case.ts';
import { retryableIfKeysUnavailable, verifyIdJag } from '../providers/id-jag.ts';
import {
  assertionLimits,
  auditAssertion,
  consumeAssertion,
  matchAccount,
} from '../providers/match-account.ts';
import { notAnonymous } from './register-by-id-jag.ts';

/** The claim of an anonymous agent by an ID-JAG of its provider, without a code if the user is linked or new. */

/** `claimed`: completed at once; `stepUp`: the owner of the mailbox must confirm the attempt first. */
export type ClaimByIdJagResult =
  | { kind: 'claimed'; completed: CompletedClaim }
  | { kind: 'stepUp'; opened: AttemptView };

/**
 * Claims an anonymous agent by an ID-JAG (auth.md v0.7 of 2026-06-12, POST /agent/identity/claim).
 *
 * @param input.assertion the ID-JAG, a compact JWS
 * @param input.ceremony the flow of the attempt if the owner must confirm
 * @throws Failure `invalidAssertion`, `loginRequired`, `limited`; `unavailable` when the issuer's keys cannot be fetched;
 * `alreadyClaimed` for an agent that is not anonymous; `invalidClaimToken`; as findOpenClaim() and createAttempt()
 */
export async function claimByIdJag(
  deps: Deps,
  origin: RequestOrigin,
  input: {
    claimToken: string;
    assertion: string;
    ceremony: ClaimFlow;
    companion?: AccompanyingBearer | undefined;
  },
): Promise<ClaimByIdJagResult> {
  const tokenHash = hashClaimToken(input.claimToken);
  await findOpenClaim(deps.db, tokenHash, deps.clock());
  const verified = await retryableIfKeysUnavailable(verifyIdJag(deps, input.assertion));
  return useCase(
    deps,
    origin,
    { sharedLimits: assertionLimits(verified) },
    async (work): Promise<ClaimByIdJagResult> => {
      const { tx, now } = work;
      const principal = await consumeAssertion(work, verified);
      const claim = await findOpenClaim(tx, tokenHash, now);
      await assertSameAgent(tx, claim, input.companion);
      const registration = (await findRegistration(tx, claim.registrationId))!;
      if (registration.kind !== 'anonymous') throw notAnonymous();
      await auditAssertion(work, verified, registration.id);
      const matched = await matchAccount(work, principal, verified);
      const { mailbox } = matched;
      const terms = { mailbox, mode: 'merge', principal: principal.principal } as const;
      const canComplete =
        matched.kind === 'clean' &&
        (matched.isNew || !(await requiresOwnerSession(work, terms, matched.accountId)));
      if (!canComplete) {
        const opened = await createAttempt(work, {
          claim,
          ceremony: input.ceremony,
          ...terms,
        });
        return { kind: 'stepUp', opened };
      }
      const proven = { ...terms, registrationId: registration.id, confirmedBy: matched.accountId };
      const { scopes: allowedScopes } = verified;
      // The claim itself would issue all claimed scopes, so an identity with fewer is issued after it.
      const plan = allowedScopes === undefined ? 'identity' : 'nothing';
      const completed = await completeProvenClaim(work, claim, proven, { gives: plan });
      if (allowedScopes === undefined) return { kind: 'claimed', completed };
      const claimedRegistration = (await findRegistration(tx, registration.id))!;
      const access = (await effectiveAccessOf(tx, deps, now, claimedRegistration))!;
      const issued = await issueAdditional(work, access, 'identity', allowedScopes);
      return { kind: 'claimed', completed: { ...completed, ...issued } };
    },
  );
}
