import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, isSubset, withImplied } from '../../lib/scopes.ts';
import { insertAgentAccount, lockAccount, updateAccountRestored } from '../../store/accounts.ts';
import {
  type AgentRow,
  lockAgent,
  updateAgentName,
  updateAgentReleased,
  updateAgentScope,
} from '../../store/agents.ts';
import { updateClaimUncompleted } from '../../store/claims.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findOwnedAgent } from '../../store/owned-agents.ts';
import { lockPlacesOfAgent } from '../../store/places.ts';
import { findRegistration, updateRegistrationUnclaimed } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { endAgent, revokeDelegation } from '../agents/end-agent.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { narrowCredentials } from '../credentials/narrow-credentials.ts';
import { refuseNarrowed, refuseRevoked } from '../hosts/refused-capabilities.ts';
import { useCase } from '../limits/use-case.ts';
import { endPlacesOfHolder } from '../workspaces/places.ts';
import { agentNotFound, issuableScopes, undoableUntil } from './owned-agent-view.ts';

/** What an owner does with an agent. */

/** Renames an agent for its owner. @throws Failure `notFound`; `badRequest` for a revoked agent */
export async function renameAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  name: string,
): Promise<void> {
  await withOwnedAgent(deps, origin, ownerId, id, async (work) => {
    await updateAgentName(work.tx, id, name);
    await recordEvent(work, { kind: 'agent.renamed', accountId: ownerId, agentId: id });
  });
}

/**
 * Restricts an agent to some of its scopes, from the next introspection on. A key that keeps none of its scopes is
 * revoked. The agent cannot regain a scope that it lost, and no key can create a key with more scopes than its own.
 *
 * @param chosen the scopes that the agent may keep; it also keeps those that they imply, which APIs accept in their place
 * @throws Failure `notFound`; `badRequest` if the agent or its keys would keep no scope, or the agent is revoked
 */
export async function narrowAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  chosen: readonly string[],
): Promise<void> {
  const scopes = withImplied(chosen, deps.config.scopes);
  await withOwnedAgent(deps, origin, ownerId, id, async (work, agent) => {
    const { tx } = work;
    const remaining = issuableScopes(deps, agent).filter((scope) => isSubset([scope], scopes));
    const { had, kept } = await narrowCredentials(work, id, scopes, (key) => key);
    if (remaining.length === 0 || (had > 0 && kept === 0)) {
      throw new Failure('badRequest', 'Leave the agent one of its scopes, or revoke it.');
    }
    await updateAgentScope(tx, id, formatScope(remaining));
    await endPlacesOfHolder(work, id, 'revoked', ownerId);
    await refuseNarrowed(work, id, remaining);
    await recordEvent(work, {
      kind: 'agent.narrowed',
      accountId: ownerId,
      agentId: id,
      details: { scope: formatScope(scopes) },
    });
  });
}

/**
 * Unlinks an agent from its owner. The agent keeps its own account and becomes an unclaimed agent: it has the anonymous
 * scopes, and expires when unclaimed agents do.
 *
 * @throws Failure `notFound`; `badRequest` for a merged or revoked agent
 */
export async function unlinkAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await withOwnedAgent(deps, origin, ownerId, id, async (work, agent) => {
    const { tx } = work;
    if (agent.accountId === ownerId) throw new Failure('badRequest', 'This agent is merged, not linked.');
    await updateAccountRestored(tx, agent.accountId);
    await releaseAgent(work, agent, agent.accountId);
    await recordAndNotify(work, ownerId, { kind: 'agent.released', agentId: id });
  });
}

/**
 * Undoes a merge within seven days. The agent and its keys move back to the agent's own account, or to a new one if it
 * never had one, from the next introspection on. There it is an unclaimed agent.
 *
 * @throws Failure `notFound`; `badRequest` if the seven days have passed, or the agent is not merged, is revoked or
 * runs under a host
 */
export async function undoMerge(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await withOwnedAgent(deps, origin, ownerId, id, async (work, agent) => {
    const { tx, now } = work;
    const registration = await findRegistration(tx, agent.registrationId);
    if (registration?.kind === 'host' || undoableUntil(agent, ownerId, now) === undefined) {
      throw new Failure('badRequest', 'A merge can be undone for seven days. Revoke the agent instead.');
    }
    const ownAccountId = agent.mergedFrom ?? newId('usr', now, deps.random);
    if (agent.mergedFrom === null) await insertAgentAccount(tx, ownAccountId, null, now);
    else await updateAccountRestored(tx, ownAccountId);
    await releaseAgent(work, agent, ownAccountId);
    await recordAndNotify(work, ownerId, { kind: 'agent.merge_undone', agentId: id });
  });
}

/** Revokes an agent and its keys, from the next introspection on. @throws Failure `notFound` */
export async function revokeOwnedAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const agent = await lockOwnedAgent(tx, ownerId, id);
    if (agent.revokedAt === null) await refuseRevoked(work, id);
    await endAgent(work, agent, 'owner');
  });
}

/**
 * Runs a change of an agent for its owner, behind the locks of lockOwnedAgent().
 *
 * @throws Failure `notFound`; `badRequest` for a revoked agent
 */
async function withOwnedAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  change: (work: Work, agent: AgentRow) => Promise<void>,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const agent = await lockOwnedAgent(work.tx, ownerId, id);
    if (agent.revokedAt !== null) throw new Failure('badRequest', 'This agent was revoked.');
    await change(work, agent);
  });
}

/**
 * Locks an owner's account, the places of one of its agents and the agent: until the transaction ends, nobody else changes the
 * agent, what it was given or its keys.
 *
 * @throws Failure `notFound`
 */
export async function lockOwnedAgent(tx: Tx, ownerId: string, id: string): Promise<AgentRow> {
  await lockAccount(tx, ownerId);
  await lockPlacesOfAgent(tx, id);
  await lockAgent(tx, id);
  const agent = await findOwnedAgent(tx, ownerId, id);
  if (agent === undefined) throw agentNotFound();
  return agent;
}

/** Makes an agent an unclaimed one, in an account of its own. */
async function releaseAgent(work: Work, agent: AgentRow, accountId: string): Promise<void> {
  const { tx, now, deps } = work;
  const expiresAt = now + deps.config.limits.unclaimedTtlSeconds * 1000;
  await updateAgentReleased(tx, agent.id, agent.accountId, accountId);
  await endPlacesOfHolder(work, agent.id, 'revoked');
  await updateClaimUncompleted(tx, agent.registrationId, now);
  await revokeDelegation(work, agent.registrationId);
  await updateRegistrationUnclaimed(tx, agent.registrationId, expiresAt);
  await narrowCredentials(work, agent.id, deps.config.anonymousScopes, (key) => ({
    accountId,
    expiresAt: Math.min(key.expiresAt ?? Infinity, expiresAt),
  }));
}
