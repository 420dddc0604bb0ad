import type { Deps } from '../../deps.ts';
import { findRegistration } from '../../store/registrations.ts';
import type { Asker } from '../audit/audit-log.ts';
import { type OpenedAttempt, openAttempt } from '../claims/claim-attempts.ts';
import type { Ceremony } from '../claims/claim-flows.ts';
import { findOpenClaim } from '../claims/claim-status.ts';
import { type Companion, checkCompanion, hashClaimToken } from '../claims/claim-tokens.ts';
import { type CompletedClaim, complete } from '../claims/complete-claim.ts';
import { giveMore } from '../claims/issue-on-claim.ts';
import { needsOwner } from '../claims/owner-policy.ts';
import { standingOf } from '../credentials/effective-access.ts';
import { limited } from '../limits/limit-audit.ts';
import { withShared } from '../limits/shared-counters.ts';
import { orLater, verifyIdJag } from '../providers/id-jag.ts';
import { assertionSpendings, match, note, take } from '../providers/match-account.ts';
import { notAnonymous } from './register-by-id-jag.ts';

/** An agent that is claimed by what its provider says. */

/** What came of a claim by the word of a provider. */
export type ClaimedByWord =
  | { kind: 'claimed'; completed: CompletedClaim }
  | { kind: 'stepUp'; opened: OpenedAttempt };

/**
 * Claims an anonymous agent by the word of a provider (auth-md.md 2b.2, B2x).
 *
 * @throws Failure `invalidAssertion`, `loginRequired`, `limited`, `alreadyClaimed` for one that is not anonymous, and what the claim's
 * own state says
 */
export async function claimByAssertion(
  deps: Deps,
  asker: Asker,
  ask: { claimToken: string; assertion: string; ceremony: Ceremony; companion?: Companion | undefined },
): Promise<ClaimedByWord> {
  const tokenHash = hashClaimToken(ask.claimToken);
  await findOpenClaim(deps.db, tokenHash, deps.clock());
  const verified = await orLater(verifyIdJag(deps, ask.assertion));
  const claimed = await limited(deps, asker, () =>
    withShared(deps, assertionSpendings(verified), async (tx, shared): Promise<ClaimedByWord> => {
      const now = deps.clock();
      const principal = await take(tx, verified, shared, now);
      const claim = await findOpenClaim(tx, tokenHash, now);
      await checkCompanion(tx, claim, ask.companion);
      const registration = (await findRegistration(tx, claim.registrationId))!;
      if (registration.kind !== 'anonymous') throw notAnonymous();
      await note(tx, deps, asker, now, verified, registration.id);
      const matched = await match(tx, deps, asker, now, principal, verified);
      const { mailbox } = matched;
      const terms = { mailbox, mode: 'merge', principal: principal.principal } as const;
      const isSettled =
        matched.kind === 'clean' &&
        (matched.isNew || !(await needsOwner(tx, deps, terms, matched.accountId)));
      if (!isSettled) {
        const opened = await openAttempt(tx, deps, asker, now, { claim, ceremony: ask.ceremony, ...terms });
        return { kind: 'stepUp', opened };
      }
      const proven = { ...terms, registrationId: registration.id, confirmedBy: matched.accountId };
      const { scopes: bound } = verified;
      const gives = bound === undefined ? 'identity' : 'nothing';
      const completed = await complete(tx, deps, asker, now, claim, proven, { gives });
      if (bound === undefined) return { kind: 'claimed', completed };
      const claimedNow = (await findRegistration(tx, registration.id))!;
      const begun = (await standingOf(tx, deps, now, claimedNow))!;
      const given = await giveMore(tx, deps, asker, now, begun, 'identity', bound);
      return { kind: 'claimed', completed: { ...completed, ...given } };
    }),
  );
  deps.wakeOutbox();
  return claimed;
}
