import type { Deps } from '../../deps.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../audit/audit-log.ts';
import { createAttempt, type OpenedAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import { findOpenClaim } from '../claims/claim-status.ts';
import { type AccompanyingBearer, checkCompanion, hashClaimToken } from '../claims/claim-tokens.ts';
import { type CompletedClaim, complete } from '../claims/complete-claim.ts';
import { issueAdditional } from '../claims/issue-on-claim.ts';
import { requiresOwnerSession } from '../claims/owner-policy.ts';
import { effectiveAccessOf } from '../credentials/effective-access.ts';
import { withLimitAudit } from '../limits/limit-audit.ts';
import { withSharedCounters } from '../limits/shared-counters.ts';
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
  const claimed = await withLimitAudit(deps, origin, () =>
    withSharedCounters(deps, assertionLimits(verified), async (tx, shared): Promise<ClaimedByWord> => {
      const now = deps.clock();
      const principal = await consumeAssertion(tx, verified, shared, now);
      const claim = await findOpenClaim(tx, tokenHash, now);
      await checkCompanion(tx, claim, ask.companion);
      const registration = (await findRegistration(tx, claim.registrationId))!;
      if (registration.kind !== 'anonymous') throw notAnonymous();
      await auditAssertion(tx, deps, origin, now, verified, registration.id);
      const matched = await matchAccount(tx, deps, origin, now, principal, verified);
      const { mailbox } = matched;
      const terms = { mailbox, mode: 'merge', principal: principal.principal } as const;
      const isSettled =
        matched.kind === 'clean' &&
        (matched.isNew || !(await requiresOwnerSession(tx, deps, terms, matched.accountId)));
      if (!isSettled) {
        const opened = await createAttempt(tx, deps, origin, now, {
          claim,
          ceremony: ask.ceremony,
          ...terms,
        });
        return { kind: 'stepUp', opened };
      }
      const proven = { ...terms, registrationId: registration.id, confirmedBy: matched.accountId };
      const { scopes: bound } = verified;
      const gives = bound === undefined ? 'identity' : 'nothing';
      const completed = await complete(tx, deps, origin, now, claim, proven, { gives });
      if (bound === undefined) return { kind: 'claimed', completed };
      const claimedNow = (await findRegistration(tx, registration.id))!;
      const begun = (await effectiveAccessOf(tx, deps, now, claimedNow))!;
      const given = await issueAdditional(tx, deps, origin, now, begun, 'identity', bound);
      return { kind: 'claimed', completed: { ...completed, ...given } };
    }),
  );
  deps.wakeOutbox();
  return claimed;
}
