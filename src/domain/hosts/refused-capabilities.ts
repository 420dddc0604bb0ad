import { isSubset } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import { listGrants, updateGrantDenied } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import { insertRefusedCapability, listRefusedCapabilities } from '../../store/refused-capabilities.ts';
import type { Work } from '../../work.ts';
import { capabilitiesOf } from './capabilities.ts';

/**
 * Capabilities that the owner of a host refused to its agents. A refused capability is not granted by default any more,
 * neither to that agent nor to another agent of the host. Requesting it creates a connection request, which says that
 * it was refused before.
 */

/** The reasons that an agent and its host read for a refused capability. */
export const REFUSAL_REASONS = {
  notAllowed: 'Your human did not allow it.',
  saidNo: 'Your human said no.',
  tookBack: 'Your human took it back.',
  before: 'Your human refused it before. Asking for it asks them again.',
  askedAgain: 'Your human refused it before, and is asked again.',
} as const;

/**
 * Denies a capability to an agent, and records the refusal, in the caller's transaction.
 *
 * @param reason one of REFUSED
 */
export async function refuseCapability(
  work: Work,
  agent: Pick<HostedAgentRow, 'id' | 'hostId'>,
  capability: string,
  reason: string,
): Promise<void> {
  const { tx, now } = work;
  await updateGrantDenied(tx, agent.id, capability, reason, now);
  await insertRefusedCapability(tx, agent.hostId, agent.id, capability, now);
}

/**
 * Lists the names of the capabilities that the owner of a host refused to an agent, or to all agents of the host. While
 * a host has no owner, there are none.
 *
 * @param agentId undefined: an agent that is not registered yet
 */
export async function listRefused(
  db: Pick<Tx, 'all'>,
  host: Pick<HostRow, 'id' | 'ownerId'>,
  agentId = '',
): Promise<Set<string>> {
  return host.ownerId === null ? new Set() : listRefusedCapabilities(db, host.id, agentId);
}

/**
 * Refuses the capabilities whose scopes an agent lost when its owner narrowed it, in the caller's transaction. It
 * ignores agents that run under no host: they have no capabilities.
 *
 * @param remaining the scopes that the agent keeps
 */
export async function refuseNarrowed(
  work: Work,
  agentId: string,
  remaining: readonly string[],
): Promise<void> {
  const { deps } = work;
  const known = capabilitiesOf(deps.config);
  await refuseGranted(work, agentId, (capability) => {
    const scope = known.get(capability)?.scope;
    return scope !== undefined && !isSubset([scope], remaining);
  });
}

/**
 * Refuses all capabilities that an agent had when its owner revoked it, in the caller's transaction. The next agent of
 * its host then has to ask for them.
 */
export function refuseRevoked(work: Work, agentId: string): Promise<void> {
  return refuseGranted(work, agentId, () => true);
}

async function refuseGranted(
  work: Work,
  agentId: string,
  isRefused: (capability: string) => boolean,
): Promise<void> {
  const { tx } = work;
  const agent = await findHostedAgent(tx, agentId);
  if (agent === undefined) return;
  for (const { capability, grantedAt } of await listGrants(tx, agentId)) {
    if (grantedAt !== null && isRefused(capability)) {
      await refuseCapability(work, agent, capability, REFUSAL_REASONS.tookBack);
    }
  }
}
