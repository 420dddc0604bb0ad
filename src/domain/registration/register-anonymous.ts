import type { Deps } from '../../deps.ts';
import type { Budget } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { insertAgentAccount } from '../../store/accounts.ts';
import { insertAgent } from '../../store/agents.ts';
import { insertClaim } from '../../store/claims.ts';
import { type CredentialType, insertRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { viewLink } from '../claims/claim-links.ts';
import type { IssuedCredential } from '../claims/issue-on-claim.ts';
import { mintIdentity } from '../credentials/identity-assertions.ts';
import { issueKey } from '../credentials/issue.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { registrationLimits } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';

/** The input that anonymous registrations and registrations with a mailbox share. */
export interface RegistrationInput {
  agentName: string | undefined;
  /** `requested_credential_type` of auth.md v0.1; undefined in other versions. */
  credentialType?: CredentialType | undefined;
  /**
   * The prefix of the claim token, by which later requests tell the dialect of the agent: `ct` for the tinysend profile, `clm`
   * for auth.md's own versions (docs/adr/0010-versions-of-auth-md.md).
   */
  token: 'ct' | 'clm';
}

/** An anonymous registration: a credential that is valid at once, and the plain claim token to ask a human with. */
export interface AnonymousRegistration {
  registrationId: string;
  given: IssuedCredential;
  userId: string;
  agentId: string;
  claimToken: string;
  /** Epoch ms. */
  claimExpiresAt: number;
  scopes: readonly string[];
  /** URL of the page on which the human reviews the claim. */
  verificationUri: string;
  /** What is left of the registration limits. */
  budgets: Budget[];
}

/**
 * Registers an agent that names no human. Creates an account of its own, and issues a key or an identity with the anonymous
 * scopes. All of them expire with the registration unless a human claims the agent.
 *
 * @throws Failure `limited` when a limit of registrations is exhausted (S-50)
 */
export function registerAnonymous(
  deps: Deps,
  origin: RequestOrigin,
  input: RegistrationInput & { gives: 'key' | 'identity' },
  idempotency?: IdempotentRequest,
): Promise<AnonymousRegistration> {
  const options = { idempotency, sharedLimits: registrationLimits(origin.address) };
  return useCase(deps, origin, options, async (work) => {
    const { tx, now } = work;
    const { limits, anonymousScopes } = deps.config;
    const registrationId = newId('reg', now, deps.random);
    const agentId = newId('agt', now, deps.random);
    const userId = newId('usr', now, deps.random);
    const claimToken = newSecret(input.token, deps.random);
    const expiresAt = now + limits.unclaimedTtlSeconds * 1000;
    const claimExpiresAt = Math.min(now + limits.claimTtlSeconds * 1000, expiresAt);
    const budgets = await work.consumeSharedLimits();
    const keyTerms = { agentId, accountId: userId, scopes: anonymousScopes, expiresAt };
    const registration = { id: registrationId, generation: 0 };
    const identityTerms = { registration, mailbox: undefined, endsAt: expiresAt, refreshable: true };
    // All statements are sent at once, and the connection runs them in this order. On PostgreSQL a round trip costs more than a
    // row (docs/adr/0003-two-engines-one-sql.md).
    const inserted = [
      insertAgentAccount(tx, userId, null, now),
      insertRegistration(tx, {
        id: registrationId,
        kind: 'anonymous',
        agentId,
        agentName: input.agentName ?? null,
        now,
        expiresAt,
        credentialType: input.credentialType,
      }),
      insertAgent(tx, {
        id: agentId,
        accountId: userId,
        registrationId,
        name: input.agentName ?? null,
        now,
        origin: origin.address.coarse,
      }),
      insertClaim(tx, {
        tokenHash: hashSecret(claimToken),
        registrationId,
        now,
        expiresAt: claimExpiresAt,
      }),
    ];
    const issuing: Promise<IssuedCredential> =
      input.gives === 'key'
        ? issueKey(work, keyTerms).then((key) => ({ kind: 'key', ...key }))
        : mintIdentity(work, identityTerms).then((identity) => ({ kind: 'identity', identity }));
    const recorded = recordEvent(work, {
      kind: 'registration.created',
      accountId: userId,
      agentId,
      subject: registrationId,
      details: { type: 'anonymous' },
    });
    const [issued] = await Promise.all([issuing, recorded, ...inserted]);
    return {
      registrationId,
      given: issued,
      userId,
      agentId,
      claimToken,
      claimExpiresAt,
      scopes: anonymousScopes,
      verificationUri: viewLink(deps, registrationId),
      budgets,
    };
  });
}
