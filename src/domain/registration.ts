import type { Deps } from '../deps.ts';
import type { Budget } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { hashSecret, newSecret } from '../lib/secrets.ts';
import { insertAgentAccount } from '../store/accounts.ts';
import { insertAgent } from '../store/agents.ts';
import { insertClaim } from '../store/claims.ts';
import type { ClaimMode } from '../store/registrations.ts';
import { insertRegistration } from '../store/registrations.ts';
import { viewLink } from './claim-links.ts';
import { openAttempt } from './claims.ts';
import { issueKey } from './credentials.ts';
import { type Asker, record } from './events.ts';
import { once, type Repeatable } from './idempotency.ts';
import { limited, mailSpendings, registerSpendings, spend } from './limits.ts';

/** What an anonymous agent gets: a key that works at once, and the secret by which a human can be asked to claim it. */
export interface AnonymousRegistration {
  credential: string;
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
 * Registers an agent that says nothing of whom it works for. It gets an account of its own and a key with the anonymous
 * scopes, both of which end with the registration unless a human claims it.
 *
 * @throws Failure `limited` when the address or the service has registered too many
 */
export function registerAnonymous(
  deps: Deps,
  asker: Asker,
  input: { agentName: string | undefined },
  repeatable?: Repeatable,
): Promise<AnonymousRegistration> {
  return once(deps, repeatable, asker, (keep) =>
    limited(deps, asker, async () => {
      const now = deps.clock();
      const { limits, anonymousScopes } = deps.config;
      const registrationId = newId('reg', now, deps.random);
      const agentId = newId('agt', now, deps.random);
      const userId = newId('usr', now, deps.random);
      const claimToken = newSecret('ct', deps.random);
      const expiresAt = now + limits.unclaimedTtlSeconds * 1000;
      const claimExpiresAt = Math.min(now + limits.claimTtlSeconds * 1000, expiresAt);

      return deps.db.tx(async (tx) => {
        const budgets = await spend(tx, deps, registerSpendings(asker.address), now);
        await insertAgentAccount(tx, userId, null, now);
        await insertRegistration(tx, {
          id: registrationId,
          kind: 'anonymous',
          agentId,
          agentName: input.agentName ?? null,
          now,
          expiresAt,
        });
        await insertAgent(tx, {
          id: agentId,
          accountId: userId,
          registrationId,
          name: input.agentName ?? null,
          now,
        });
        await insertClaim(tx, {
          tokenHash: hashSecret(claimToken),
          registrationId,
          now,
          expiresAt: claimExpiresAt,
        });
        const { credential } = await issueKey(tx, deps, now, {
          agentId,
          accountId: userId,
          scopes: anonymousScopes,
          expiresAt,
        });
        await record(tx, deps, asker, now, {
          kind: 'registration.created',
          accountId: userId,
          agentId,
          subject: registrationId,
          details: { type: 'anonymous' },
        });
        const answer: AnonymousRegistration = {
          credential,
          userId,
          agentId,
          claimToken,
          claimExpiresAt,
          scopes: anonymousScopes,
          verificationUri: viewLink(deps, registrationId),
          budgets,
        };
        await keep(tx, answer);
        return answer;
      });
    }),
  );
}

/** What an agent gets that names a mailbox: no key yet, only the secret to complete the claim with. */
export interface AssertedRegistration {
  claimToken: string;
  /** Epoch ms. */
  claimExpiresAt: number;
  mailbox: string;
  /** The page on which the human can review the claim. */
  verificationUri: string;
  budgets: Budget[];
}

/**
 * Registers an agent that says which mailbox it works for, and mails the code there. Until the code comes back there is
 * neither an agent nor an account (S-34).
 *
 * @param input.mailbox canonical, see parseMailbox
 * @throws Failure `limited` when a budget of registrations or mails is spent
 */
export async function registerWithMailbox(
  deps: Deps,
  asker: Asker,
  input: { agentName: string | undefined; mailbox: string; mode: ClaimMode },
  repeatable?: Repeatable,
): Promise<AssertedRegistration> {
  const registered = await once<AssertedRegistration>(deps, repeatable, asker, (keep) =>
    limited(deps, asker, async () => {
      const now = deps.clock();
      const { limits } = deps.config;
      const registrationId = newId('reg', now, deps.random);
      const claimToken = newSecret('ct', deps.random);
      const tokenHash = hashSecret(claimToken);
      const claimExpiresAt = now + limits.claimTtlSeconds * 1000;

      return deps.db.tx(async (tx) => {
        const budgets = await spend(tx, deps, registerSpendings(asker.address), now);
        await insertRegistration(tx, {
          id: registrationId,
          kind: 'identity_assertion',
          agentId: null,
          agentName: input.agentName ?? null,
          now,
          expiresAt: claimExpiresAt,
        });
        await insertClaim(tx, { tokenHash, registrationId, now, expiresAt: claimExpiresAt });
        await record(tx, deps, asker, now, {
          kind: 'registration.created',
          subject: registrationId,
          details: { type: 'identity_assertion' },
        });
        await openAttempt(tx, deps, asker, now, {
          claim: { tokenHash, registrationId, expiresAt: claimExpiresAt },
          mailbox: input.mailbox,
          mode: input.mode,
        });
        await spend(tx, deps, mailSpendings(input.mailbox, asker.address, registrationId), now);
        const answer: AssertedRegistration = {
          claimToken,
          claimExpiresAt,
          mailbox: input.mailbox,
          verificationUri: viewLink(deps, registrationId),
          budgets,
        };
        await keep(tx, answer);
        return answer;
      });
    }),
  );
  deps.wakeOutbox();
  return registered;
}
