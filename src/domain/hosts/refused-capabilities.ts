import { isSubset } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import { listGrants, updateGrantDenied } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import { insertRefusedCapability, listRefusedCapabilities } from '../../store/refused-capabilities.ts';
import type { Work } from '../../work.ts';
import { capabilitiesOf } from './capabilities.ts';

/**
 * What the human of a host refused its agents. It is not granted by default any more, neither to the agent that was refused
 * nor to another one of the host: asking again is a new question to the human, who is told that it is asked again.
 */

/** Why a capability is denied that a human refused. */
export const REFUSED = {
  notAllowed: 'Your human did not allow it.',
  saidNo: 'Your human said no.',
  tookBack: 'Your human took it back.',
  before: 'Your human refused it before. Asking for it asks them again.',
  askedAgain: 'Your human refused it before, and is asked again.',
} as const;

/** Denies an agent what it asked for or has, and remembers it, in the caller's transaction. */
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
 * The names of what the human of a host refused, to an agent or to all agents of the host. Nobody but its owner refuses a host
 * anything.
 *
 * @param agentId undefined: for an agent that is new
 */
export async function refusedTo(
  db: Pick<Tx, 'all'>,
  host: Pick<HostRow, 'id' | 'ownerId'>,
  agentId = '',
): Promise<Set<string>> {
  return host.ownerId === null ? new Set() : listRefusedCapabilities(db, host.id, agentId);
}

/** Remembers what an agent lost by being left only some scopes. Of agents without a host nothing is remembered: they ask for none. */
export async function refuseNarrowed(work: Work, agentId: string, left: readonly string[]): Promise<void> {
  const { deps } = work;
  const known = capabilitiesOf(deps.config);
  await refuseGranted(work, agentId, (capability) => {
    const scope = known.get(capability)?.scope;
    return scope !== undefined && !isSubset([scope], left);
  });
}

/** Remembers all that an agent had when its human revoked it, so that the next one of its host asks first. */
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
      await refuseCapability(work, agent, capability, REFUSED.tookBack);
    }
  }
}
