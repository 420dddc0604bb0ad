import type { Deps } from '../../deps.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { createAttempt, type OpenedAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import { findOpenClaim } from '../claims/claim-status.ts';
import { type AccompanyingBearer, checkCompanion, hashClaimToken } from '../claims/claim-tokens.ts';
import { type CompletedClaim, complete } from '../claims/complete-claim.ts';
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

/** An agent that is claimed by what its provider says. */

/** What came of a claim by the word of a provider. */
export type ClaimedByWord =
  | { kind: 'claimed'; completed: CompletedClaim }
  | { kind: 'stepUp'; opened: OpenedAttempt };

/**
 * Claims an anonymous agent by the word of a provider (auth.md v0.7 of 2026-06-12, POST /agent/identity/claim).
 *
 * @throws Failure `invalidAssertion`, `loginRequired`, `limited`, `alreadyClaimed` for one that is not anonymous, and what the claim's
 * own state says
 */
export async function claimByAssertion(
  deps: Deps,
  origin: RequestOrigin,
  ask: {
    claimToken: string;
    assertion: string;
    ceremony: ClaimFlow;
    companion?: AccompanyingBearer | undefined;
  },
): Promise<ClaimedByWord> {
  const tokenHash = hashClaimToken(ask.claimToken);
  await findOpenClaim(deps.db, tokenHash, deps.clock());
  const verified = await retryableIfKeysUnavailable(verifyIdJag(deps, ask.assertion));
  return useCase(
    deps,
    origin,
    { sharedLimits: assertionLimits(verified) },
    async (work): Promise<ClaimedByWord> => {
      const { tx, now } = work;
      const principal = await consumeAssertion(work, verified);
      const claim = await findOpenClaim(tx, tokenHash, now);
      await checkCompanion(tx, claim, ask.companion);
      const registration = (await findRegistration(tx, claim.registrationId))!;
      if (registration.kind !== 'anonymous') throw notAnonymous();
      await auditAssertion(work, verified, registration.id);
      const matched = await matchAccount(work, principal, verified);
      const { mailbox } = matched;
      const terms = { mailbox, mode: 'merge', principal: principal.principal } as const;
      const isSettled =
        matched.kind === 'clean' &&
        (matched.isNew || !(await requiresOwnerSession(work, terms, matched.accountId)));
      if (!isSettled) {
        const opened = await createAttempt(work, {
          claim,
          ceremony: ask.ceremony,
          ...terms,
        });
        return { kind: 'stepUp', opened };
      }
      const proven = { ...terms, registrationId: registration.id, confirmedBy: matched.accountId };
      const { scopes: bound } = verified;
      const gives = bound === undefined ? 'identity' : 'nothing';
      const completed = await complete(work, claim, proven, { gives });
      if (bound === undefined) return { kind: 'claimed', completed };
      const claimedNow = (await findRegistration(tx, registration.id))!;
      const begun = (await effectiveAccessOf(tx, deps, now, claimedNow))!;
      const given = await issueAdditional(work, begun, 'identity', bound);
      return { kind: 'claimed', completed: { ...completed, ...given } };
    },
  );
}
