import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { issuerOf } from '../../lib/principals.ts';
import { insertAgentAccount, updateAccountLinked, updateAccountMerged } from '../../store/accounts.ts';
import {
  findAgent,
  insertAgent,
  updateAgentMerged,
  updateAgentOwned,
  updateAgentScope,
} from '../../store/agents.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import { updatePrincipalLinked } from '../../store/principals.ts';
import {
  type ClaimMode,
  type RegistrationRow,
  updateRegistrationClaimed,
  updateRegistrationPrincipal,
} from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { findOrCreateAccount } from '../accounts/find-or-create-account.ts';
import { record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { viewLink } from './claim-links.ts';
import { POLL_SECONDS } from './claim-status.ts';
import { type IssuancePlan, type IssuedCredential, issueOnClaim } from './issue-on-claim.ts';
import { requiresOwnerSession } from './owner-policy.ts';
/** For whom the agent works now, and what it got. */
export interface ClaimedAgent {
  registrationId: string;
  userId: string;
  agentId: string;
  scopes: readonly string[];
  given: IssuedCredential;
}

/** What an attempt has proven. */
export type ProvenAttempt = Pick<
  AttemptRow,
  'registrationId' | 'mailbox' | 'mode' | 'confirmedBy' | 'principal'
> & {
  id?: string;
};

/**
 * Puts a registration's agent under the owner of a mailbox that was just proven, in the caller's transaction.
 *
 * The owner's account comes into being here, with the first proof, and not before (S-34). What the agent had before the claim
 * may have been captured, so it gains nothing by it (S-26), but where an older version promises so.
 *
 * @throws Failure `interactionRequired` where merging into an existing account needs more than a code
 */
export async function transferOwnership(
  work: Work,
  registration: RegistrationRow,
  attempt: ProvenAttempt,
  gives: IssuancePlan,
): Promise<ClaimedAgent> {
  const { tx, now, deps } = work;
  const { mode } = attempt;
  const ownerId = await resolveOwner(work, attempt);
  const placed =
    registration.agentId === null
      ? await createAgent(work, registration, ownerId, mode)
      : await moveAgent(work, registration.agentId, ownerId, mode);
  const { agentId, accountId, from } = placed;
  await updateRegistrationClaimed(tx, registration.id, agentId, mode, now);
  await recordAndNotify(work, ownerId, {
    kind: mode === 'merge' ? 'agent.merged' : 'agent.linked',
    agentId,
    subject: registration.id,
    ...(mode === 'merge' && from !== undefined && { details: { from } }),
  });
  const principal = attempt.principal ?? registration.principal;
  if (principal !== null) await delegate(work, { principal, ownerId, agentId, registration });
  const given = await issueOnClaim(work, {
    registration,
    agentId,
    accountId,
    mailbox: attempt.mailbox,
    gives,
  });
  await record(work, {
    kind: 'claim.completed',
    accountId,
    agentId,
    subject: registration.id,
    details: { mode, gives, ...('id' in given && { key: given.id }) },
  });
  const scopes = given.kind === 'token' ? given.scopes : deps.config.claimedScopes;
  return { registrationId: registration.id, userId: accountId, agentId, scopes, given };
}

/** From now on the provider's word is enough for what it presents of this user. */
async function delegate(
  work: Work,
  of: { principal: string; ownerId: string; agentId: string; registration: RegistrationRow },
): Promise<void> {
  const { tx, now } = work;
  const { principal, ownerId, agentId, registration } = of;
  await updatePrincipalLinked(tx, principal, ownerId, now);
  if (registration.principal !== principal) await updateRegistrationPrincipal(tx, registration.id, principal);
  await record(work, {
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

/** The account in which an agent works now, and the one of its own that it worked in before. */
interface Placement {
  agentId: string;
  accountId: string;
  from: string | undefined;
}

/** The agent of an asserted mailbox: merged, it starts in the owner's account; linked, in one of its own below it. */
async function createAgent(
  work: Work,
  registration: RegistrationRow,
  ownerId: string,
  mode: ClaimMode,
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
  });
  return { agentId, accountId, from: undefined };
}

/** An agent that worked on its own moves into the owner's account, or its account gets the owner's as parent. */
async function moveAgent(work: Work, agentId: string, ownerId: string, mode: ClaimMode): Promise<Placement> {
  const { tx, now } = work;
  const agent = (await findAgent(tx, agentId))!;
  const own = agent.accountId;
  const won =
    mode === 'link'
      ? (await updateAccountLinked(tx, own, ownerId)) && (await updateAgentOwned(tx, agentId, now))
      : (await updateAgentMerged(tx, agentId, own, ownerId, now)) &&
        (await updateAccountMerged(tx, own, ownerId, now));
  if (won !== 1) throw new Failure('claimRevoked', 'This agent was revoked. Register again.');
  // What an owner before this one took from it was theirs to say.
  await updateAgentScope(tx, agentId, null);
  return { agentId, accountId: mode === 'link' ? own : ownerId, from: own };
}
