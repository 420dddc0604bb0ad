import type { Deps } from '../../deps.ts';
import { findAgent, lockAgent } from '../../store/agents.ts';
import { updateApprovalsOfAgentDecided } from '../../store/approvals.ts';
import { deleteGrants, updateGrantAllowed, updateGrantDenied, upsertGrant } from '../../store/grants.ts';
import {
  updateHostedAgentActivated,
  updateHostedAgentEnded,
  updateHostedAgentKey,
} from '../../store/hosted-agents.ts';
import { type HostRow, lockHost } from '../../store/hosts.ts';
import type { RequestOrigin } from '../../work.ts';
import { agentLifecycle } from '../agents/agent-lifecycle.ts';
import { endAgent } from '../agents/end-agent.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { defaultCapabilities } from './capabilities.ts';
import { findAgentOfHost, type HostedAgent, showHostedAgent } from './host-agent-view.ts';
import { protocolError } from './protocol-errors.ts';
import { readPublicJwk } from './public-jwk.ts';
import { listRefused, REFUSAL_REASONS } from './refused-capabilities.ts';

/**
 * Agents under hosts (Agent Auth Protocol 1.0-draft, section 5). A host registers, queries and ends its agents; an
 * agent signs its own requests.
 */

/**
 * Reactivates an expired agent with the public capabilities that its human has not refused (Agent Auth Protocol
 * 1.0-draft, section 5.6). An active agent stays as it is.
 *
 * @throws Failure `protocolRefused`
 */
export async function reactivateHostedAgent(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  id: string,
): Promise<HostedAgent> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await lockHost(tx, host.id);
    const agent = await findAgentOfHost(tx, host, id);
    const { state } = agentLifecycle(deps, agent);
    if (state === 'active') return;
    if (state === 'over') {
      throw protocolError(
        'absolute_lifetime_exceeded',
        'The agent has lived as long as one may. Register a new one.',
      );
    }
    if (state !== 'expired') throw protocolError(`agent_${state}`, `The agent is ${state}, not expired.`);
    await deleteGrants(tx, id);
    await updateApprovalsOfAgentDecided(tx, id, now); // the requested grants are deleted
    const refused = await listRefused(tx, host, id);
    for (const name of defaultCapabilities(deps.config)) {
      await upsertGrant(tx, { agentId: id, capability: name, constraints: null }, now);
      if (refused.has(name)) await updateGrantDenied(tx, id, name, REFUSAL_REASONS.before, now);
      else await updateGrantAllowed(tx, id, name, null, now);
    }
    await updateHostedAgentActivated(tx, id, now);
    await recordEvent(work, {
      kind: 'agent.reactivated',
      accountId: host.ownerId ?? undefined,
      agentId: id,
    });
  });
  return showHostedAgent(deps, id);
}

/** Revokes an agent of a host. An agent that has ended stays as it is. @throws Failure `protocolRefused` */
export async function revokeHostedAgent(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await findAgentOfHost(tx, host, id);
    const agent = await findAgent(tx, id);
    if (agent !== undefined) await endAgent(work, agent);
    await updateApprovalsOfAgentDecided(tx, id, now);
    await updateHostedAgentEnded(tx, id, 'revoked', now);
  });
}

/**
 * Replaces the key of an agent. The old key is refused from now on.
 *
 * @param value the new public key, an Ed25519 JWK
 * @throws Failure `protocolRefused`
 */
export async function rotateAgentKey(
  deps: Deps,
  origin: RequestOrigin,
  host: HostRow,
  id: string,
  value: unknown,
): Promise<HostedAgent> {
  const key = readPublicJwk(value);
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await lockAgent(tx, id);
    const agent = await findAgentOfHost(tx, host, id);
    const { state } = agentLifecycle(deps, agent);
    if (state === 'revoked' || state === 'rejected' || state === 'claimed') {
      throw protocolError(`agent_${state}`, `The agent was ${state}. Register a new one.`);
    }
    if (!(await updateHostedAgentKey(tx, agent, { thumbprint: key.thumbprint, publicJwk: key.jwk }))) {
      throw protocolError('invalid_public_key', 'Rotate to a key that no agent of this host has.');
    }
    await recordEvent(work, {
      kind: 'host.rekeyed',
      accountId: host.ownerId ?? undefined,
      agentId: id,
      subject: host.id,
    });
  });
  return showHostedAgent(deps, id);
}
