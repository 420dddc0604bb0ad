import type { Deps } from '../../deps.ts';
import { updateGrantAllowed, updateGrantDenied, upsertGrant } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow } from '../../store/hosted-agents.ts';
import { type HostRow, lockHost } from '../../store/hosts.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import {
  defaultCapabilities,
  isAllowedByOwner,
  listGrantedCapabilities,
  type RequestedCapability,
} from './capabilities.ts';
import { type ConnectionRequestInput, createConnectionRequest } from './connection-requests.ts';
import { type HostedAgent, showHostedAgent } from './host-agent-view.ts';
import { protocolError } from './protocol-errors.ts';
import { listRefused, REFUSAL_REASONS } from './refused-capabilities.ts';
import { NEEDS_HUMAN } from './register-hosted-agent.ts';
import { assertActive, type SigningAgent } from './signed-requests.ts';

/**
 * Requests more capabilities for an agent; its present grants stay as they are (Agent Auth Protocol 1.0-draft, section
 * 5.4). A public capability is granted at once, unless the human refused it before. All others need a new connection
 * request. A capability whose scope the owner removed stays denied.
 *
 * @returns the agent, with the requested grants only
 * @throws Failure `protocolRefused`, `limited`
 */
export async function requestCapabilities(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningAgent,
  requested: RequestedCapability[],
  request: ConnectionRequestInput,
): Promise<HostedAgent> {
  const { agent } = signer;
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const host = (await lockHost(tx, agent.hostId))!;
    // The agent may have changed since its token was verified.
    const current = (await findHostedAgent(tx, agent.id))!;
    assertActive(deps, current, host);
    const held = await listGrantedCapabilities(deps, current, tx);
    const missing = requested.filter(({ name }) => !held.has(name));
    if (missing.length === 0) throw protocolError('already_granted', 'The agent has all of this already.');
    if (await requestEach(work, host, current, missing)) {
      await createConnectionRequest(work, agent, request);
    }
  });
  const shown = await showHostedAgent(deps, agent.id);
  const names = new Set(requested.map(({ name }) => name));
  return { ...shown, grants: shown.grants.filter(({ capability }) => names.has(capability)) };
}

/** @returns whether a human must approve any of them */
async function requestEach(
  work: Work,
  host: HostRow,
  agent: HostedAgentRow,
  requested: RequestedCapability[],
): Promise<boolean> {
  const { tx, now, deps } = work;
  const publicNames = new Set(defaultCapabilities(deps.config));
  const refused = await listRefused(tx, host, agent.id);
  let needsHuman = false;
  for (const { name, constraints } of requested) {
    const text = constraints === undefined ? null : JSON.stringify(constraints);
    await upsertGrant(tx, { agentId: agent.id, capability: name, constraints: text }, now);
    if (!isAllowedByOwner(deps.config, agent, name))
      await updateGrantDenied(tx, agent.id, name, REFUSAL_REASONS.tookBack, now);
    else if (publicNames.has(name) && !refused.has(name))
      await updateGrantAllowed(tx, agent.id, name, null, now);
    else if (host.ownerId !== null) needsHuman = true;
    else await updateGrantDenied(tx, agent.id, name, NEEDS_HUMAN, now);
  }
  return needsHuman;
}
