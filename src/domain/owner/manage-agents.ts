import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, isSubset, parseScope } from '../../lib/scopes.ts';
import { insertAgentAccount, lockAccount, updateAccountReleased } from '../../store/accounts.ts';
import {
  type AgentRow,
  findOwnedAgent,
  lockAgent,
  updateAgentName,
  updateAgentReleased,
  updateAgentScope,
} from '../../store/agents.ts';
import { updateClaimReleased } from '../../store/claims.ts';
import {
  type CredentialRow,
  listCredentials,
  updateCredentialRevoked,
  updateCredentialScope,
} from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import { findRegistration, updateRegistrationUnclaimed } from '../../store/registrations.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { endAgent, endDelegation } from '../agents/end-agent.ts';
import { record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { isKey } from '../credentials/api-keys.ts';
import { isLive } from '../credentials/issue.ts';
import { refuseNarrowed, refuseRevoked } from '../hosts/refused-capabilities.ts';
import { useCase } from '../limits/use-case.ts';
import { notYours, scopesOf, undoableUntil } from './owned-agent-view.ts';

/** What a human does with the agents that are theirs. */

/** Gives an agent another name, which its owner chose. @throws Failure `notFound` */
export async function renameAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  name: string,
): Promise<void> {
  await withOwned(deps, origin, ownerId, id, async (work) => {
    await updateAgentName(work.tx, id, name);
    await record(work, { kind: 'agent.renamed', accountId: ownerId, agentId: id });
  });
}

/**
 * Leaves an agent only some of its scopes, from the next introspection on. A key that loses all of its own ends. What it gave
 * away it does not get back; a key makes no wider one.
 *
 * @throws Failure `notFound`; `badRequest` where nothing would be left
 */
export async function narrowAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  scopes: readonly string[],
): Promise<void> {
  await withOwned(deps, origin, ownerId, id, async (work, agent) => {
    const { tx } = work;
    const left = scopesOf(deps, agent).filter((scope) => isSubset([scope], scopes));
    const { had, kept } = await narrowKeys(work, id, scopes, (key) => key);
    if (left.length === 0 || (had > 0 && kept === 0)) {
      throw new Failure('badRequest', 'Leave the agent one of its scopes, or revoke it.');
    }
    await updateAgentScope(tx, id, formatScope(left));
    await refuseNarrowed(work, id, left);
    await record(work, {
      kind: 'agent.narrowed',
      accountId: ownerId,
      agentId: id,
      details: { scope: formatScope(scopes) },
    });
  });
}

/**
 * Ends that an agent is linked to its owner. It goes on alone in its own account, as one that nobody claimed: with the
 * anonymous scopes, and no longer than such an agent may.
 *
 * @throws Failure `notFound`; `badRequest` for one that is merged
 */
export async function unlinkAgent(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await withOwned(deps, origin, ownerId, id, async (work, agent) => {
    const { tx } = work;
    if (agent.accountId === ownerId) throw new Failure('badRequest', 'This agent is merged, not linked.');
    await updateAccountReleased(tx, agent.accountId);
    await release(work, agent, agent.accountId);
    await recordAndNotify(work, ownerId, { kind: 'agent.released', agentId: id });
  });
}

/**
 * Undoes a merge within seven days: the agent gets its own account back (or one, if it came without), and with its keys is
 * out of the owner's from the next introspection on. There it is as one that nobody claimed.
 *
 * @throws Failure `notFound`; `badRequest` where it is too late, or nothing was merged
 */
export async function undoMerge(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await withOwned(deps, origin, ownerId, id, async (work, agent) => {
    const { tx, now } = work;
    const registration = await findRegistration(tx, agent.registrationId);
    if (registration?.kind === 'host' || undoableUntil(agent, ownerId, now) === undefined) {
      throw new Failure('badRequest', 'A merge can be undone for seven days. Revoke the agent instead.');
    }
    const own = agent.mergedFrom ?? newId('usr', now, deps.random);
    if (agent.mergedFrom === null) await insertAgentAccount(tx, own, null, now);
    else await updateAccountReleased(tx, own);
    await release(work, agent, own);
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
    const agent = await holdOwned(tx, ownerId, id);
    if (agent.revokedAt === null) await refuseRevoked(work, id);
    await endAgent(work, agent);
  });
}

/** Runs a change of an agent that is its owner's and not revoked, while no key of it is made or changed by anybody else. */
async function withOwned(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
  change: (work: Work, agent: AgentRow) => Promise<void>,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const agent = await holdOwned(work.tx, ownerId, id);
    if (agent.revokedAt !== null) throw new Failure('badRequest', 'This agent was revoked.');
    await change(work, agent);
  });
}

/** One agent of a human, which until the transaction ends nobody else changes. @throws Failure `notFound` */
async function holdOwned(tx: Tx, ownerId: string, id: string): Promise<AgentRow> {
  await lockAccount(tx, ownerId);
  await lockAgent(tx, id);
  const agent = await findOwnedAgent(tx, ownerId, id);
  if (agent === undefined) throw notYours();
  return agent;
}

async function release(work: Work, agent: AgentRow, accountId: string): Promise<void> {
  const { tx, now, deps } = work;
  const expiresAt = now + deps.config.limits.unclaimedTtlSeconds * 1000;
  await updateAgentReleased(tx, agent.id, agent.accountId, accountId);
  await updateClaimReleased(tx, agent.registrationId, now);
  await endDelegation(tx, agent.registrationId);
  await updateRegistrationUnclaimed(tx, agent.registrationId, expiresAt);
  await narrowKeys(work, agent.id, deps.config.anonymousScopes, (key) => ({
    accountId,
    expiresAt: Math.min(key.expiresAt ?? Infinity, expiresAt),
  }));
}

/** Leaves the live keys of an agent no more than these scopes; returns how many it had, and how many still work. */
async function narrowKeys(
  work: Work,
  agentId: string,
  scopes: readonly string[],
  place: (key: CredentialRow) => Pick<CredentialRow, 'accountId' | 'expiresAt'>,
): Promise<{ had: number; kept: number }> {
  const { tx, now } = work;
  let had = 0;
  let kept = 0;
  for (const key of await listCredentials(tx, agentId)) {
    if (!isLive(key, now)) continue;
    // Tokens come and go: only of lasting keys must one be left.
    const counts = isKey(key) ? 1 : 0;
    had += counts;
    const left = parseScope(key.scope).filter((scope) => isSubset([scope], scopes));
    if (left.length === 0) {
      await updateCredentialRevoked(tx, key.hash, now);
    } else {
      await updateCredentialScope(tx, key.hash, { ...place(key), scope: formatScope(left) });
      kept += counts;
    }
  }
  return { had, kept };
}
