import type { Deps } from '../../deps.ts';
import type { Budget } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { insertClaim } from '../../store/claims.ts';
import { type ClaimMode, insertRegistration } from '../../store/registrations.ts';
import { type RequestOrigin, record } from '../audit/audit-log.ts';
import { createAttempt, type OpenedAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import { type IdempotentRequest, withIdempotency } from '../limits/idempotency.ts';
import { withLimitAudit } from '../limits/limit-audit.ts';
import { registrationLimits } from '../limits/limits.ts';
import { withSharedCounters } from '../limits/shared-counters.ts';
import type { Introduction } from './register-anonymous.ts';

/** An agent that registers with the mailbox of its human. */

/** What an agent gets that names a mailbox: no key yet, only the secret to complete the claim with. */
export interface AssertedRegistration extends OpenedAttempt {
  claimToken: string;
  /** Epoch ms. */
  claimExpiresAt: number;
  budgets: Budget[];
}

/**
 * Registers an agent that says which mailbox it works for, and begins the ceremony. Until it is through there is neither an
 * agent nor an account (S-34).
 *
 * @param input.mailbox canonical, see parseMailbox
 * @throws Failure `limited` when a budget of registrations or mails is spent
 */
export async function registerWithMailbox(
  deps: Deps,
  origin: RequestOrigin,
  input: Introduction & {
    kind: 'identity_assertion' | 'service_auth';
    mailbox: string;
    mode: ClaimMode;
    ceremony: ClaimFlow;
  },
  repeatable?: IdempotentRequest,
): Promise<AssertedRegistration> {
  const registered = await withIdempotency<AssertedRegistration>(deps, repeatable, origin, (keep) =>
    withLimitAudit(deps, origin, async () => {
      const now = deps.clock();
      const { limits } = deps.config;
      const registrationId = newId('reg', now, deps.random);
      const claimToken = newSecret(input.token, deps.random);
      const tokenHash = hashSecret(claimToken);
      const claimExpiresAt = now + limits.claimTtlSeconds * 1000;

      return withSharedCounters(deps, registrationLimits(origin.address), async (tx, shared) => {
        const budgets = await shared.use();
        await insertRegistration(tx, {
          id: registrationId,
          kind: input.kind,
          agentId: null,
          agentName: input.agentName ?? null,
          now,
          expiresAt: claimExpiresAt,
          credentialType: input.credentialType,
        });
        await insertClaim(tx, { tokenHash, registrationId, now, expiresAt: claimExpiresAt });
        await record(tx, deps, origin, now, {
          kind: 'registration.created',
          subject: registrationId,
          details: { type: input.kind },
        });
        const { mailbox, mode, ceremony } = input;
        const claim = { tokenHash, registrationId, expiresAt: claimExpiresAt };
        const opened = await createAttempt(tx, deps, origin, now, { claim, mailbox, mode, ceremony });
        const answer: AssertedRegistration = { ...opened, claimToken, claimExpiresAt, budgets };
        await keep(tx, answer);
        return answer;
      });
    }),
  );
  deps.wakeOutbox();
  return registered;
}
