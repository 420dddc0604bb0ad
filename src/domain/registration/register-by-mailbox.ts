import type { Deps } from '../../deps.ts';
import type { Budget } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { insertClaim } from '../../store/claims.ts';
import { type ClaimMode, insertRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { type AttemptView, createAttempt } from '../claims/claim-attempts.ts';
import type { ClaimFlow } from '../claims/claim-flows.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { registrationLimits } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';
import type { RegistrationInput } from './register-anonymous.ts';

/** A registration with a mailbox: no credential yet, only the plain claim token to complete the claim with. */
export interface AssertedRegistration extends AttemptView {
  claimToken: string;
  /** Epoch ms. */
  claimExpiresAt: number;
  /** What is left of the registration limits. */
  budgets: Budget[];
}

/**
 * Registers an agent that names the mailbox of its human, and starts the first attempt of its claim. Neither an agent nor an
 * account exists until the claim is completed (S-34).
 *
 * @param input.mailbox canonical, see parseMailbox()
 * @throws Failure `limited` when a limit of registrations or mails is exhausted (S-46, S-50)
 */
export async function registerWithMailbox(
  deps: Deps,
  origin: RequestOrigin,
  input: RegistrationInput & {
    kind: 'identity_assertion' | 'service_auth';
    mailbox: string;
    mode: ClaimMode;
    ceremony: ClaimFlow;
  },
  idempotency?: IdempotentRequest,
): Promise<AssertedRegistration> {
  const options = { idempotency, sharedLimits: registrationLimits(origin.address) };
  return useCase(deps, origin, options, async (work) => {
    const { tx, now } = work;
    const { limits } = deps.config;
    const registrationId = newId('reg', now, deps.random);
    const claimToken = newSecret(input.token, deps.random);
    const tokenHash = hashSecret(claimToken);
    const claimExpiresAt = now + limits.claimTtlSeconds * 1000;
    const budgets = await work.consumeSharedLimits();
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
    await recordEvent(work, {
      kind: 'registration.created',
      subject: registrationId,
      details: { type: input.kind },
    });
    const { mailbox, mode, ceremony } = input;
    const claim = { tokenHash, registrationId, expiresAt: claimExpiresAt };
    const opened = await createAttempt(work, { claim, mailbox, mode, ceremony });
    return { ...opened, claimToken, claimExpiresAt, budgets };
  });
}
