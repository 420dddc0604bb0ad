import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { issuerOf } from '../../lib/principals.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { insertAgentAccount, updateAccountLinked, updateAccountMerged } from '../../store/accounts.ts';
import {
  findAgent,
  insertAgent,
  updateAgentMerged,
  updateAgentOwned,
  updateAgentScope,
} from '../../store/agents.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import { deleteLinkRequestOfPrincipal } from '../../store/link-requests.ts';
import { updatePrincipalLinked } from '../../store/principals.ts';
import {
  type RegistrationRow,
  updateRegistrationClaimed,
  updateRegistrationPrincipal,
} from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { findOrCreateAccount } from '../accounts/find-or-create-account.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { endPersonalTrees } from '../workspaces/workspaces.ts';
import { viewLink } from './claim-links.ts';
import { POLL_SECONDS } from './claim-status.ts';
import { type IssuancePlan, type IssuedCredential, issueOnClaim } from './issue-on-claim.ts';
import { requiresOwnerSession } from './owner-policy.ts';

/** An agent whose claim was just completed. */
export interface ClaimedAgent {
  registrationId: string;
  /** The account that the agent works in: the owner's after a merge, its own after a link. */
  userId: string;
  agentId: string;
  scopes: readonly string[];
  given: IssuedCredential;
}

/** A proven attempt; without `id` where an ID-JAG proves the mailbox and there is no attempt. */
export type ProvenAttempt = Pick<
  AttemptRow,
  'registrationId' | 'mailbox' | 'mode' | 'confirmedBy' | 'principal'
> & {
  id?: string;
};

/**
 * Makes the human of a mailbox that was just proven the owner of a registration's agent, in the caller's transaction. Creates
 * the owner's account with the first proof of the mailbox, and not before (S-34).
 *
 * Credentials from before the claim may have been captured, so they get no more scope (S-26), except where auth.md v0.1 to v0.3
 * promise it.
 *
 * @param attempt.scope bounds the agent from now on, space-separated; null: nothing beyond the claimed scopes does
 * @throws Failure `interactionRequired` when a merge into an existing account requires the owner's session; `claimRevoked` when
 * the agent was revoked; `codeExpired` when the operator withdrew all scopes that were given; otherwise as issueOnClaim()
 */
export async function transferOwnership(
  work: Work,
  registration: RegistrationRow,
  attempt: ProvenAttempt & Pick<AttemptRow, 'scope'>,
  plan: IssuancePlan,
): Promise<ClaimedAgent> {
  const { tx, now, deps } = work;
  const { mode, scope } = attempt;
  const ownerId = await resolveOwner(work, attempt);
  const placement =
    registration.agentId === null
      ? await createAgent(work, registration, ownerId, attempt)
      : await moveAgent(work, registration.agentId, ownerId, attempt);
  const scopes = restrictTo(deps.config.claimedScopes, scope);
  if (scopes.length === 0) {
    throw new Failure(
      'codeExpired',
      'What your human gave is not offered any more. Call the claim endpoint again for a new code.',
    );
  }
  const { agentId, accountId, from } = placement;
  await updateRegistrationClaimed(tx, registration.id, agentId, mode, now);
  await recordAndNotify(work, ownerId, {
    kind: mode === 'merge' ? 'agent.merged' : 'agent.linked',
    agentId,
    subject: registration.id,
    ...(mode === 'merge' && from !== undefined && { details: { from } }),
  });
  const principal = attempt.principal ?? registration.principal;
  if (principal !== null) await linkPrincipal(work, { principal, ownerId, agentId, registration });
  const issued = await issueOnClaim(work, {
    registration,
    agentId,
    accountId,
    mailbox: attempt.mailbox,
    scopes,
    isNarrowed: scope !== null,
    gives: plan,
  });
  await recordEvent(work, {
    kind: 'claim.completed',
    accountId,
    agentId,
    subject: registration.id,
    details: { mode, gives: plan, ...('id' in issued && { key: issued.id }) },
  });
  return {
    registrationId: registration.id,
    userId: accountId,
    agentId,
    scopes: issued.kind === 'token' ? issued.scopes : scopes,
    given: issued,
  };
}

/** Lets a user of a provider act for the owner: from now on an ID-JAG of this user needs no confirmation. */
async function linkPrincipal(
  work: Work,
  input: { principal: string; ownerId: string; agentId: string; registration: RegistrationRow },
): Promise<void> {
  const { tx, now } = work;
  const { principal, ownerId, agentId, registration } = input;
  await updatePrincipalLinked(tx, principal, ownerId, now);
  await deleteLinkRequestOfPrincipal(tx, principal);
  if (registration.principal !== principal) await updateRegistrationPrincipal(tx, registration.id, principal);
  await recordEvent(work, {
    kind: 'principal.linked',
    accountId: ownerId,
    agentId,
    subject: registration.id,
    details: { issuer: issuerOf(principal) },
  });
}

async function resolveOwner(work: Work, attempt: ProvenAttempt): Promise<string> {
  const { deps } = work;
  const { id, isNew } = await findOrCreateAccount(work, attempt.mailbox);
  if (isNew) return id;
  if (attempt.confirmedBy !== id && (await requiresOwnerSession(work, attempt, id))) {
    throw new Failure(
      'interactionRequired',
      'This mailbox has an account. Its owner must sign in and confirm the merge at verification_uri; then complete without "otp".',
      {
        verificationUri: viewLink(deps, attempt.registrationId, attempt.id),
        retryAfterSeconds: POLL_SECONDS,
      },
    );
  }
  return id;
}

/** How an agent belongs to its owner, and what it may have. */
type Terms = Pick<AttemptRow, 'mode' | 'scope'>;

/** The account in which an agent works now. `from` is its own account from before the claim; undefined for a new agent. */
interface Placement {
  agentId: string;
  accountId: string;
  from: string | undefined;
}

/** Creates the agent of a registration that has none: in the owner's account (merge), or in its own account below that (link). */
async function createAgent(
  work: Work,
  registration: RegistrationRow,
  ownerId: string,
  { mode, scope }: Terms,
): Promise<Placement> {
  const { tx, now, deps } = work;
  const agentId = newId('agt', now, deps.random);
  let accountId = ownerId;
  if (mode === 'link') {
    accountId = newId('usr', now, deps.random);
    await insertAgentAccount(tx, accountId, ownerId, now);
  }
  await insertAgent(tx, {
    id: agentId,
    accountId,
    registrationId: registration.id,
    name: registration.agentName,
    now,
    ownedAt: now,
    scope,
    origin: null,
  });
  return { agentId, accountId, from: undefined };
}

/** Moves an existing agent into the owner's account (merge), or makes that account the parent of the agent's own (link). */
async function moveAgent(
  work: Work,
  agentId: string,
  ownerId: string,
  { mode, scope }: Terms,
): Promise<Placement> {
  const { tx, now } = work;
  const agent = (await findAgent(tx, agentId))!;
  const ownAccountId = agent.accountId;
  const isUpdated =
    mode === 'link'
      ? (await updateAccountLinked(tx, ownAccountId, ownerId)) && (await updateAgentOwned(tx, agentId, now))
      : (await updateAgentMerged(tx, agentId, ownAccountId, ownerId, now)) &&
        (await mergeAccount(work, ownAccountId, ownerId));
  if (!isUpdated) throw new Failure('claimRevoked', 'This agent was revoked. Register again.');
  // Scopes that a previous owner took from the agent do not bind the new owner.
  await updateAgentScope(tx, agentId, scope);
  return { agentId, accountId: mode === 'link' ? ownAccountId : ownerId, from: ownAccountId };
}

async function mergeAccount(work: Work, id: string, ownerId: string): Promise<boolean> {
  const merged = await updateAccountMerged(work.tx, id, ownerId, work.now);
  if (merged?.hasTrees) await endPersonalTrees(work, id);
  return merged !== undefined;
}
