import type { Deps } from '../../deps.ts';
import { updateGrantAllowed, updateGrantDenied, upsertGrant } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow } from '../../store/hosted-agents.ts';
import { type HostRow, lockHost } from '../../store/hosts.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { type AskedCapability, defaultCapabilities, grantedTo, isAllowedByOwner } from './capabilities.ts';
import { type ConnectionRequest, createConnectionRequest } from './connection-requests.ts';
import { type HostedAgent, showHostedAgent } from './host-agent-view.ts';
import { NEEDS_HUMAN } from './host-agents.ts';
import { protocolError } from './protocol-errors.ts';
import { REFUSED, refusedTo } from './refused-capabilities.ts';
import { refuseInactive, type SigningAgent } from './signed-requests.ts';

/**
 * Asks for more. What the agent has stays as it is meanwhile. What anybody may is granted at once, unless its human refused it
 * before; all else, and that, is a new question to the human. What its human took from it by narrowing it stays denied.
 *
 * @returns the agent, with the grants that it asked for
 * @throws Failure `protocolRefused`, `limited`
 */
export async function requestCapabilities(
  deps: Deps,
  origin: RequestOrigin,
  signer: SigningAgent,
  asked: AskedCapability[],
  question: ConnectionRequest,
): Promise<HostedAgent> {
  const { agent } = signer;
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const host = (await lockHost(tx, agent.hostId))!;
    // What it is may have changed since it signed.
    const current = (await findHostedAgent(tx, agent.id))!;
    refuseInactive(deps, current, host);
    const held = await grantedTo(deps, current, tx);
    const open = asked.filter(({ name }) => !held.has(name));
    if (open.length === 0) throw protocolError('already_granted', 'The agent has all of this already.');
    if (await askForEach(work, host, current, open)) {
      await createConnectionRequest(work, agent, question);
    }
  });
  const shown = await showHostedAgent(deps, agent.id);
  const names = new Set(asked.map(({ name }) => name));
  return { ...shown, grants: shown.grants.filter(({ capability }) => names.has(capability)) };
}

/** @returns whether there is something that a human must allow */
async function askForEach(
  work: Work,
  host: HostRow,
  agent: HostedAgentRow,
  asked: AskedCapability[],
): Promise<boolean> {
  const { tx, now, deps } = work;
  const free = new Set(defaultCapabilities(deps.config));
  const before = await refusedTo(tx, host, agent.id);
  let needsHuman = false;
  for (const { name, constraints } of asked) {
    const text = constraints === undefined ? null : JSON.stringify(constraints);
    await upsertGrant(tx, { agentId: agent.id, capability: name, constraints: text }, now);
    if (!isAllowedByOwner(deps.config, agent, name))
      await updateGrantDenied(tx, agent.id, name, REFUSED.tookBack, now);
    else if (free.has(name) && !before.has(name)) await updateGrantAllowed(tx, agent.id, name, null, now);
    else if (host.ownerId !== null) needsHuman = true;
    else await updateGrantDenied(tx, agent.id, name, NEEDS_HUMAN, now);
  }
  return needsHuman;
}
