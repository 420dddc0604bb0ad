import type { Deps } from '../../deps.ts';
import { listHostedAgentsByKey } from '../../store/hosted-agents.ts';
import { findHost } from '../../store/hosts.ts';
import { agentLifecycle, hasHostEnded } from '../agents/agent-lifecycle.ts';
import type { HostedSigner } from '../permissions/key-holders.ts';

/**
 * Finds the active agent under a host that has a key: it asks for permissions with that.
 *
 * @returns undefined also where several have it, since the key does not tell which one signed
 */
export async function findHostedSigner(deps: Deps, thumbprint: string): Promise<HostedSigner | undefined> {
  const agents = await listHostedAgentsByKey(deps.db, thumbprint);
  const active = agents.filter((agent) => agentLifecycle(deps, agent).state === 'active');
  const [agent] = active;
  if (agent === undefined || active.length > 1) return undefined;
  const host = await findHost(deps.db, agent.hostId);
  if (host === undefined || hasHostEnded(deps, host)) return undefined;
  return { agentId: agent.id, publicJwk: agent.publicJwk };
}
