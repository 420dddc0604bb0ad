import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findLastAttempt } from '../../store/claim-attempts.ts';
import { type ClaimMode, findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { createAttempt, describeAttempt, type OpenedAttempt } from './claim-attempts.ts';
import type { ClaimFlow } from './claim-flows.ts';
import { findOpenClaim, isAttemptClosed } from './claim-status.ts';
import { type AccompanyingBearer, checkCompanion, hashClaimToken } from './claim-tokens.ts';
/**
 * Starts a claim: mails a code to the mailbox, ending the code that was live before. What the mailbox is (known, unknown,
 * linked) is not looked at, so the answer cannot tell (S-44, S-45).
 *
 * @param input.mailbox canonical, see parseMailbox
 * @returns the page on which the human can review it
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `alreadyClaimed`; `limited` when a
 * budget of codes is spent
 */
export async function startClaim(
  deps: Deps,
  origin: RequestOrigin,
  input: {
    claimToken: string;
    mailbox: string;
    mode: ClaimMode;
    ceremony: ClaimFlow;
    companion?: AccompanyingBearer | undefined;
    /** Whether only an agent that named nobody when it registered may ask: the others' claims are under way (auth.md v0.1, POST /agent/auth/claim). */
    onlyAnonymous?: boolean;
    /** Whether a live attempt at the same mailbox will do, and nothing is mailed again (auth.md v0.1, POST /agent/auth/claim). */
    keepsLive?: boolean;
  },
): Promise<OpenedAttempt> {
  const { mailbox, mode, ceremony } = input;
  const tokenHash = hashClaimToken(input.claimToken);
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const claim = await findOpenClaim(tx, tokenHash, now);
    await checkCompanion(tx, claim, input.companion);
    if (input.onlyAnonymous && (await findRegistration(tx, claim.registrationId))?.kind !== 'anonymous') {
      throw new Failure(
        'alreadyClaimed',
        'This claim is under way since the registration. Complete it, or register again.',
      );
    }
    const live = input.keepsLive ? await findLastAttempt(tx, claim.registrationId) : undefined;
    if (live?.mailbox === mailbox && !isAttemptClosed(live, deps.config.limits.triesPerCode, now)) {
      return describeAttempt(deps, live);
    }
    return createAttempt(work, { claim, mailbox, mode, ceremony });
  });
}
