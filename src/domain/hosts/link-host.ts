import { updateAccountMerged } from '../../store/accounts.ts';
import { findAgent } from '../../store/agents.ts';
import { deleteGrants } from '../../store/grants.ts';
import { listHostedAgents, updateHostedAgentEnded } from '../../store/hosted-agents.ts';
import { type HostRow, updateHostLinked } from '../../store/hosts.ts';
import { updateHostRegistrationClaimed } from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { agentLifecycle } from '../agents/agent-lifecycle.ts';
import { endAgent } from '../agents/end-agent.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { endPersonalTrees } from '../workspaces/workspaces.ts';

/**
 * Links a host to the human who approved one of its agents, in the caller's transaction. The host's account is merged
 * into the human's, and its autonomous agents end as claimed: the approved agent takes their place (Agent Auth Protocol
 * 1.0-draft, section 2.10).
 *
 * @returns whether this human owns the host now
 */
export async function linkHost(work: Work, host: HostRow, ownerId: string): Promise<boolean> {
  const { tx, now, deps } = work;
  if (host.ownerId !== null) return host.ownerId === ownerId;
  if ((await updateHostLinked(tx, host.id, ownerId, now)) !== 1) return false;
  await updateHostRegistrationClaimed(tx, host.registrationId, now);
  for (const row of await listHostedAgents(tx, host.id)) {
    if (row.mode !== 'autonomous' || agentLifecycle(deps, row).state === 'pending') continue;
    const agent = await findAgent(tx, row.id);
    if (agent !== undefined) await endAgent(work, agent);
    if ((await updateHostedAgentEnded(tx, row.id, 'claimed', now)) !== 1) continue;
    await deleteGrants(tx, row.id);
    await recordEvent(work, { kind: 'agent.claimed', accountId: ownerId, agentId: row.id });
  }
  const merged = await updateAccountMerged(tx, host.accountId, ownerId, now);
  if (merged?.hasTrees) await endPersonalTrees(work, host.accountId);
  await recordAndNotify(work, ownerId, {
    kind: 'host.linked',
    subject: host.id,
    details: { from: host.accountId },
  });
  return true;
}
