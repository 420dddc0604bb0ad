import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import { updateApprovalsOfAgentDecided } from '../../store/approvals.ts';
import type { Tx } from '../../store/engine/db.ts';
import { listHostedAgents, updateHostedAgentEnded } from '../../store/hosted-agents.ts';
import { findHost, type HostRow, lockHost, updateHostRevoked } from '../../store/hosts.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { endAgent } from '../agents/end-agent.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { hostNotFound } from './owned-hosts.ts';

/** Revokes a host and all of its agents. @returns how many agents it ended; 0 for an unknown host */
export async function revokeHost(deps: Deps, origin: RequestOrigin, id: string): Promise<number> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const host = await lockOwnerAndHost(tx, id);
    return host === undefined ? 0 : endHost(work, host);
  });
}

/** Revokes a host for its owner. @throws Failure `notFound`, also for a host of another owner */
export async function revokeOwnedHost(
  deps: Deps,
  origin: RequestOrigin,
  ownerId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const host = await lockOwnerAndHost(tx, id);
    if (host?.ownerId !== ownerId) throw hostNotFound();
    await endHost(work, host, 'owner');
  });
}

/**
 * Locks the account of a host's owner and then the host: see the order of locks in
 * docs/adr/0003-two-engines-one-sql.md.
 */
async function lockOwnerAndHost(tx: Tx, id: string): Promise<HostRow | undefined> {
  const ownerId = (await findHost(tx, id))?.ownerId;
  if (ownerId) await lockAccount(tx, ownerId);
  return lockHost(tx, id);
}

/**
 * Revokes a host and all of its agents in the caller's transaction.
 *
 * @param by `owner`: the signed-in human revokes it, and their activity says so
 * @returns how many agents it ended
 */
export async function endHost(work: Work, host: HostRow, by?: 'owner'): Promise<number> {
  const { tx, now } = work;
  if ((await updateHostRevoked(tx, host.id, now)) !== 1) return 0;
  let ended = 0;
  for (const row of await listHostedAgents(tx, host.id)) {
    const agent = await findAgent(tx, row.id);
    if (agent !== undefined) await endAgent(work, agent, by);
    ended += await updateHostedAgentEnded(tx, row.id, 'revoked', now);
    await updateApprovalsOfAgentDecided(tx, row.id, now);
  }
  const revoked = {
    kind: 'host.revoked',
    subject: host.id,
    details: { agents: ended, ...(by && { by }) },
  } as const;
  if (host.ownerId !== null) await recordAndNotify(work, host.ownerId, revoked);
  else await recordEvent(work, revoked);
  return ended;
}
