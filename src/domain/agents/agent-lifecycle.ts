import type { Deps } from '../../deps.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';

/** How far an agent under a host has come; computed from times, stored nowhere (Agent Auth Protocol 1.0-draft, sections 2.3 and 2.4). */
export type AgentLifecycle =
  | { state: 'pending' | 'expired' | 'over' | 'revoked' | 'rejected' | 'claimed' }
  /** Until when, unless it signs something before; epoch ms. */
  | { state: 'active'; expiresAt: number };

/** Whether a host has ended: it was revoked, or nobody owned it in time. */
export function isHostOver(deps: Pick<Deps, 'clock'>, host: HostRow): boolean {
  return host.revokedAt !== null || (host.ownerId === null && host.expiresAt <= deps.clock());
}

/** When an agent under a host comes to its end whatever it does, epoch ms. */
export function endOfLife({ config }: Pick<Deps, 'config'>, createdAt: number): number {
  return createdAt + config.limits.agentAbsoluteSeconds * 1000;
}

export function lifecycleOf(deps: Pick<Deps, 'clock' | 'config'>, agent: HostedAgentRow): AgentLifecycle {
  const { agentIdleSeconds, agentLifetimeSeconds } = deps.config.limits;
  if (agent.endReason !== null) return { state: agent.endReason };
  if (agent.agentRevokedAt !== null) return { state: 'revoked' };
  if (agent.activatedAt === null) return { state: 'pending' };
  const now = deps.clock();
  const end = endOfLife(deps, agent.createdAt);
  if (end <= now) return { state: 'over' };
  const expiresAt = Math.min(
    (agent.seenAt ?? agent.activatedAt) + agentIdleSeconds * 1000,
    agent.activatedAt + agentLifetimeSeconds * 1000,
    end,
  );
  return expiresAt <= now ? { state: 'expired' } : { state: 'active', expiresAt };
}
