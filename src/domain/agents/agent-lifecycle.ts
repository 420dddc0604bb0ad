import type { Deps } from '../../deps.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';

/**
 * The state of an agent under a host, computed from its row and the clock; no column holds it (Agent Auth Protocol
 * 1.0-draft, sections 2.3 and 2.4).
 */
export type AgentLifecycle =
  /** `over`: the absolute lifetime has elapsed. */
  | { state: 'pending' | 'expired' | 'over' | 'revoked' | 'rejected' | 'claimed' }
  /** `expiresAt`: when the agent expires if it signs no further request, epoch ms. */
  | { state: 'active'; expiresAt: number };

/** Returns whether a host has ended: it was revoked, or its registration expired before a human owned it. */
export function hasHostEnded(deps: Pick<Deps, 'clock'>, host: HostRow): boolean {
  return host.revokedAt !== null || (host.ownerId === null && host.expiresAt <= deps.clock());
}

/**
 * Returns when the absolute lifetime of an agent under a host elapses (Agent Auth Protocol 1.0-draft, section 2.4).
 *
 * @param createdAt epoch ms
 * @returns epoch ms
 */
export function absoluteLifetimeEnd({ config }: Pick<Deps, 'config'>, createdAt: number): number {
  return createdAt + config.limits.agentAbsoluteSeconds * 1000;
}

/** Computes the state of an agent under a host at the current time. */
export function agentLifecycle(deps: Pick<Deps, 'clock' | 'config'>, agent: HostedAgentRow): AgentLifecycle {
  const { agentIdleSeconds, agentLifetimeSeconds } = deps.config.limits;
  if (agent.endReason !== null) return { state: agent.endReason };
  if (agent.agentRevokedAt !== null) return { state: 'revoked' };
  if (agent.activatedAt === null) return { state: 'pending' };
  const now = deps.clock();
  const end = absoluteLifetimeEnd(deps, agent.createdAt);
  if (end <= now) return { state: 'over' };
  const expiresAt = Math.min(
    (agent.seenAt ?? agent.activatedAt) + agentIdleSeconds * 1000,
    agent.activatedAt + agentLifetimeSeconds * 1000,
    end,
  );
  return expiresAt <= now ? { state: 'expired' } : { state: 'active', expiresAt };
}
