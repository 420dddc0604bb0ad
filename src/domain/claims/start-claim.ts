import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findLastAttempt } from '../../store/claim-attempts.ts';
import { type ClaimMode, findRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { type AttemptView, createAttempt, toAttemptView } from './claim-attempts.ts';
import type { ClaimFlow } from './claim-flows.ts';
import { findOpenClaim, isAttemptClosed } from './claim-status.ts';
import { type AccompanyingBearer, assertSameAgent, hashClaimToken } from './claim-tokens.ts';

/**
 * Starts an attempt of a claim: queues a mail to the mailbox if the flow has one, and supersedes the live attempt. Does not look
 * up whether the mailbox has an account, so neither the response nor its time can tell (S-44, S-45).
 *
 * @param input.mailbox canonical, see parseMailbox()
 * @throws Failure `invalidClaimToken`, `claimExpired`, `claimSuperseded`, `claimDenied`, `claimRevoked`, `alreadyClaimed`;
 * `tooManyAttempts` or `limited` as createAttempt()
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
    /**
     * Whether only an anonymous agent may start an attempt. The first attempt of any other agent starts at its registration
     * (auth.md v0.1, POST /agent/auth/claim).
     */
    onlyAnonymous?: boolean;
    /** Whether to return a live attempt at the same mailbox and mail nothing (auth.md v0.1, POST /agent/auth/claim). */
    keepsLive?: boolean;
  },
): Promise<AttemptView> {
  const { mailbox, mode, ceremony } = input;
  const tokenHash = hashClaimToken(input.claimToken);
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const claim = await findOpenClaim(tx, tokenHash, now);
    await assertSameAgent(tx, claim, input.companion);
    if (input.onlyAnonymous && (await findRegistration(tx, claim.registrationId))?.kind !== 'anonymous') {
      throw new Failure(
        'alreadyClaimed',
        'This claim was started at the registration. Complete it, or register again.',
      );
    }
    const last = input.keepsLive ? await findLastAttempt(tx, claim.registrationId) : undefined;
    if (last?.mailbox === mailbox && !isAttemptClosed(last, deps.config.limits.triesPerCode, now)) {
      return toAttemptView(deps, last);
    }
    return createAttempt(work, { claim, mailbox, mode, ceremony });
  });
}
