import type { Deps } from '../../deps.ts';
import type { Budget } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { insertAgentAccount } from '../../store/accounts.ts';
import { insertAgent } from '../../store/agents.ts';
import { insertClaim } from '../../store/claims.ts';
import { type CredentialType, insertRegistration } from '../../store/registrations.ts';
import type { RequestOrigin } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { viewLink } from '../claims/claim-links.ts';
import type { IssuedCredential } from '../claims/issue-on-claim.ts';
import { mintIdentity } from '../credentials/identity-assertions.ts';
import { issueKey } from '../credentials/issue.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { registrationLimits } from '../limits/limits.ts';
import { useCase } from '../limits/use-case.ts';

/** How an agent introduces itself. */
export interface Introduction {
  agentName: string | undefined;
  /** What an agent of auth.md v0.1 asks for; undefined: it speaks another version. */
  credentialType?: CredentialType | undefined;
  /** The start of the claim token, by which the version of its holder is known: `clm` for auth.md's own versions. */
  token: 'ct' | 'clm';
}

/** What an anonymous agent gets: what works at once, and the secret by which a human can be asked to claim it. */
export interface AnonymousRegistration {
  registrationId: string;
  given: IssuedCredential;
  userId: string;
  agentId: string;
  claimToken: string;
  /** Epoch ms. */
  claimExpiresAt: number;
  scopes: readonly string[];
  /** The page on which the human can review the claim. */
  verificationUri: string;
  budgets: Budget[];
}

/**
 * Registers an agent that says nothing of whom it works for. It gets an account of its own, and a key or an identity with the
 * anonymous scopes, all of which end with the registration unless a human claims it.
 *
 * @throws Failure `limited` when the address or the service has registered too many
 */
export function registerAnonymous(
  deps: Deps,
  origin: RequestOrigin,
  input: Introduction & { gives: 'key' | 'identity' },
  repeatable?: IdempotentRequest,
): Promise<AnonymousRegistration> {
  const options = { idempotency: repeatable, sharedLimits: registrationLimits(origin.address) };
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
    const grant = { agentId, accountId: userId, scopes: anonymousScopes, expiresAt };
    const registration = { id: registrationId, generation: 0 };
    const terms = { registration, mailbox: undefined, endsAt: expiresAt, refreshable: true };
    // Asked at once and done in this order: on PostgreSQL the way there and back costs more than a row.
    const written = [
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
      }),
      insertClaim(tx, {
        tokenHash: hashSecret(claimToken),
        registrationId,
        now,
        expiresAt: claimExpiresAt,
      }),
    ];
    const giving: Promise<IssuedCredential> =
      input.gives === 'key'
        ? issueKey(work, grant).then((key) => ({ kind: 'key', ...key }))
        : mintIdentity(work, terms).then((identity) => ({ kind: 'identity', identity }));
    const recorded = record(work, {
      kind: 'registration.created',
      accountId: userId,
      agentId,
      subject: registrationId,
      details: { type: 'anonymous' },
    });
    const [given] = await Promise.all([giving, recorded, ...written]);
    return {
      registrationId,
      given,
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
