import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { issuerOf } from '../../lib/principals.ts';
import { insertAgentAccount, linkAccount, mergeAccount } from '../../store/accounts.ts';
import { findAgent, insertAgent, markOwned, mergeAgent, narrowAgent } from '../../store/agents.ts';
import type { AttemptRow } from '../../store/claim-attempts.ts';
import type { Tx } from '../../store/engine/db.ts';
import { linkPrincipal } from '../../store/principals.ts';
import {
  type ClaimMode,
  markRegistrationClaimed,
  type RegistrationRow,
  setPrincipal,
} from '../../store/registrations.ts';
import { findOrCreateAccount } from '../accounts/find-or-create-account.ts';
import { type RequestOrigin, record } from '../audit/audit-log.ts';
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
  tx: Tx,
  deps: Deps,
  origin: RequestOrigin,
  now: number,
  registration: RegistrationRow,
  attempt: ProvenAttempt,
  gives: IssuancePlan,
): Promise<ClaimedAgent> {
  const { mode } = attempt;
  const ownerId = await resolveOwner(tx, deps, origin, now, attempt);
  const placed =
    registration.agentId === null
      ? await createAgent(tx, deps, now, registration, ownerId, mode)
      : await moveAgent(tx, registration.agentId, ownerId, mode, now);
  const { agentId, accountId, from } = placed;
  await markRegistrationClaimed(tx, registration.id, agentId, mode, now);
  await recordAndNotify(tx, deps, origin, now, ownerId, {
    kind: mode === 'merge' ? 'agent.merged' : 'agent.linked',
    agentId,
    subject: registration.id,
    ...(mode === 'merge' && from !== undefined && { details: { from } }),
  });
  const principal = attempt.principal ?? registration.principal;
  if (principal !== null)
    await delegate(tx, deps, origin, now, { principal, ownerId, agentId, registration });
  const given = await issueOnClaim(tx, deps, origin, now, {
    registration,
    agentId,
    accountId,
    mailbox: attempt.mailbox,
    gives,
  });
  await record(tx, deps, origin, now, {
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
  tx: Tx,
  deps: Deps,
  origin: RequestOrigin,
  now: number,
  of: { principal: string; ownerId: string; agentId: string; registration: RegistrationRow },
): Promise<void> {
  const { principal, ownerId, agentId, registration } = of;
  await linkPrincipal(tx, principal, ownerId, now);
  if (registration.principal !== principal) await setPrincipal(tx, registration.id, principal);
  await record(tx, deps, origin, now, {
    kind: 'principal.linked',
    accountId: ownerId,
    agentId,
    subject: registration.id,
    details: { issuer: issuerOf(principal) },
  });
}

async function resolveOwner(
  tx: Tx,
  deps: Deps,
  origin: RequestOrigin,
  now: number,
  attempt: ProvenAttempt,
): Promise<string> {
  const { id, isNew } = await findOrCreateAccount(tx, deps, origin, now, attempt.mailbox);
  if (isNew) return id;
  if (attempt.confirmedBy !== id && (await requiresOwnerSession(tx, deps, attempt, id))) {
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
  tx: Tx,
  deps: Deps,
  now: number,
  registration: RegistrationRow,
  ownerId: string,
  mode: ClaimMode,
): Promise<Placement> {
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
async function moveAgent(
  tx: Tx,
  agentId: string,
  ownerId: string,
  mode: ClaimMode,
  now: number,
): Promise<Placement> {
  const agent = (await findAgent(tx, agentId))!;
  const own = agent.accountId;
  const won =
    mode === 'link'
      ? (await linkAccount(tx, own, ownerId)) && (await markOwned(tx, agentId, now))
      : (await mergeAgent(tx, agentId, own, ownerId, now)) && (await mergeAccount(tx, own, ownerId, now));
  if (won !== 1) throw new Failure('claimRevoked', 'This agent was revoked. Register again.');
  // What an owner before this one took from it was theirs to say.
  await narrowAgent(tx, agentId, null);
  return { agentId, accountId: mode === 'link' ? own : ownerId, from: own };
}
