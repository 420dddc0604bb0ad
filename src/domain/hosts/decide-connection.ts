import type { Deps } from '../../deps.ts';
import { findAccountByMailbox, lockAccount } from '../../store/accounts.ts';
import { insertAgent } from '../../store/agents.ts';
import { updateApprovalDecided } from '../../store/approvals.ts';
import { updateGrantAllowed } from '../../store/grants.ts';
import { updateHostedAgentActivated, updateHostedAgentEnded } from '../../store/hosted-agents.ts';
import { lockHost } from '../../store/hosts.ts';
import { deleteRefusedCapability } from '../../store/refused-capabilities.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { suppressMail } from '../accounts/mail-suppressions.ts';
import type { Session } from '../accounts/sessions.ts';
import { isHostOver, lifecycleOf } from '../agents/agent-lifecycle.ts';
import { record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import {
  assertItsHuman,
  type Found,
  findApprovalWithAgent,
  gone,
  over,
  somebodyElse,
} from './connection-review.ts';
import { linkHost } from './hosts.ts';
import { REFUSED, refuseCapability } from './refused-capabilities.ts';

/** What a human decides about an agent that asks to be let in, or for more. */

/**
 * Lets an agent in with some or all of what it asked for, by a human who has just typed a mailed code. Its host is theirs with
 * it, and what other agents of the host did alone (Agent Auth Protocol 1.0-draft, section 7).
 *
 * @param allowed names of capabilities; those that are not among them are denied
 * @throws Failure `notFound`, `forbidden`, `codeExpired`
 */
export async function approveAgent(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
  allowed: readonly string[],
): Promise<void> {
  await decide(deps, origin, id, session, async (work, { agent, host, asked }) => {
    const { tx, now } = work;
    const { accountId } = session;
    if (!(await linkHost(work, host, accountId))) throw somebodyElse();
    const isNew = lifecycleOf(deps, agent).state === 'pending';
    if (isNew) {
      await insertAgent(tx, {
        id: agent.id,
        accountId,
        registrationId: host.registrationId,
        name: agent.name,
        now,
        ownedAt: now,
      });
      if ((await updateHostedAgentActivated(tx, agent.id, now)) !== 1) throw over();
    }
    for (const { capability } of asked) {
      if (!allowed.includes(capability)) {
        await refuseCapability(work, agent, capability, REFUSED.notAllowed);
        continue;
      }
      await updateGrantAllowed(tx, agent.id, capability, accountId, now);
      await deleteRefusedCapability(tx, host.id, agent.id, capability);
    }
    const granted = asked.filter(({ capability }) => allowed.includes(capability));
    await recordAndNotify(work, accountId, {
      kind: isNew ? 'agent.connected' : 'capability.granted',
      agentId: agent.id,
      details: { host: host.id, capabilities: granted.map(({ capability }) => capability).join(' ') },
    });
  });
}

/** Turns an agent away: one that is not in yet altogether, one that is in from what it asked for. @throws Failure as approveAgent */
export async function rejectAgent(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
): Promise<void> {
  await decide(deps, origin, id, session, async (work, { agent, asked }) => {
    const { tx, now } = work;
    for (const { capability } of asked) {
      await refuseCapability(work, agent, capability, REFUSED.saidNo);
    }
    if (lifecycleOf(deps, agent).state === 'pending')
      await updateHostedAgentEnded(tx, agent.id, 'rejected', now);
    await record(work, {
      kind: 'agent.rejected',
      accountId: session.accountId,
      subject: agent.id,
    });
  });
}

/** What a link in a mail of an approval shows. */
export interface RefusableView {
  agentName: string;
  mailbox: string;
  isDecided: boolean;
}

/** An approval for whoever reads the mail that asked for it. @throws Failure `notFound` */
export async function viewRefusable(deps: Pick<Deps, 'db'>, id: string): Promise<RefusableView> {
  const { approval, agent } = await findApprovalWithAgent(deps.db, id);
  if (approval.mailbox === null) throw gone();
  return { agentName: agent.name, mailbox: approval.mailbox, isDecided: approval.decidedAt !== null };
}

/**
 * Turns an agent away, by whoever reads the mail that asked for it, and keeps it away from the mailbox for a day. An agent of a host
 * that is somebody else's loses its question and nothing more.
 *
 * @param input.noMore whether the mailbox wants no mail of agents at all any more
 * @throws Failure `notFound`; what was decided already stays as it is
 */
export async function refuseByMail(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  input: { noMore: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { approval, host: seen } = await findApprovalWithAgent(tx, id);
    if (approval.mailbox === null) throw gone();
    const owner = await findAccountByMailbox(tx, approval.mailbox);
    if (owner !== undefined) await lockAccount(tx, owner.id);
    await lockHost(tx, seen.id);
    const { agent, host, asked } = await findApprovalWithAgent(tx, id);
    const sender = { id: host.id, name: agent.name, origin: approval.origin };
    await suppressMail(work, approval.mailbox, sender, input);
    if ((await updateApprovalDecided(tx, id, now)) !== 1) return;
    if (host.ownerId === null || host.ownerId === owner?.id) {
      for (const { capability } of asked) await refuseCapability(work, agent, capability, REFUSED.saidNo);
      if (lifecycleOf(deps, agent).state === 'pending')
        await updateHostedAgentEnded(tx, agent.id, 'rejected', now);
    }
    await record(work, { kind: 'agent.rejected', accountId: owner?.id, subject: agent.id });
  });
}

async function decide(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
  change: (work: Work, found: Found) => Promise<void>,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const before = await findApprovalWithAgent(tx, id);
    if (!(await lockAccount(tx, session.accountId))) throw gone();
    await lockHost(tx, before.host.id);
    if ((await updateApprovalDecided(tx, id, now)) !== 1) throw over();
    const found = await findApprovalWithAgent(tx, id);
    assertItsHuman(found.approval, found.host, session);
    const life = lifecycleOf(deps, found.agent).state;
    if (isHostOver(deps, found.host) || (life !== 'pending' && life !== 'active')) throw over();
    await change(work, found);
  });
}
