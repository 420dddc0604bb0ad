import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
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
import { agentLifecycle, hasHostEnded } from '../agents/agent-lifecycle.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import {
  assertRequestOwner,
  type ConnectionRequestRecords,
  findApprovalWithAgent,
  notYourRequest,
  requestClosed,
  requestNotFound,
} from './connection-review.ts';
import { linkHost } from './link-host.ts';
import { REFUSAL_REASONS, refuseCapability } from './refused-capabilities.ts';

/** How a human decides on a connection request. */

/** An approved connection request. */
export interface ApprovedConnection {
  agentId: string;
  /** Unverified. */
  agentName: string;
  /** Whether the agent acted for nobody before. */
  isNewAgent: boolean;
  /** Names of the capabilities that it got. */
  granted: string[];
}

/**
 * Approves a connection request with some or all of the requested capabilities. The caller has checked that the human
 * has just verified a mailed code. The host is linked to the human, who takes over what its autonomous agents did
 * (Agent Auth Protocol 1.0-draft, section 7).
 *
 * @param id of the connection request
 * @param allowed names of the capabilities to grant; the other requested ones are denied
 * @throws Failure `notFound`, `forbidden`, `codeExpired`; `badRequest` if the agent requests something and gets nothing
 */
export async function approveConnection(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
  allowed: readonly string[],
): Promise<ApprovedConnection> {
  return decideRequest(deps, origin, id, session, async (work, { agent, host, asked, approval }) => {
    const { tx, now } = work;
    const { accountId } = session;
    const granted = asked.map(({ capability }) => capability).filter((name) => allowed.includes(name));
    if (asked.length > 0 && granted.length === 0) throw nothingSelected();
    if (!(await linkHost(work, host, accountId))) throw notYourRequest();
    const isNew = agentLifecycle(deps, agent).state === 'pending';
    if (isNew) {
      await insertAgent(tx, {
        id: agent.id,
        accountId,
        registrationId: host.registrationId,
        name: agent.name,
        now,
        ownedAt: now,
        origin: approval.origin,
      });
      if ((await updateHostedAgentActivated(tx, agent.id, now)) !== 1) throw requestClosed();
    }
    for (const { capability } of asked) {
      if (!granted.includes(capability)) {
        await refuseCapability(work, agent, capability, REFUSAL_REASONS.notAllowed);
        continue;
      }
      await updateGrantAllowed(tx, agent.id, capability, accountId, now);
      await deleteRefusedCapability(tx, host.id, agent.id, capability);
    }
    await recordAndNotify(work, accountId, {
      kind: isNew ? 'agent.connected' : 'capability.granted',
      agentId: agent.id,
      details: { host: host.id, capabilities: granted.join(' ') },
    });
    return { agentId: agent.id, agentName: agent.name, isNewAgent: isNew, granted };
  });
}

/**
 * Rejects a connection request: a pending agent is rejected, an active agent is denied the requested capabilities.
 *
 * @throws Failure as approveConnection()
 */
export async function rejectConnection(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
): Promise<void> {
  await decideRequest(deps, origin, id, session, async (work, { agent, asked }) => {
    const { tx, now } = work;
    for (const { capability } of asked) {
      await refuseCapability(work, agent, capability, REFUSAL_REASONS.saidNo);
    }
    if (agentLifecycle(deps, agent).state === 'pending')
      await updateHostedAgentEnded(tx, agent.id, 'rejected', now);
    await recordEvent(work, {
      kind: 'agent.rejected',
      accountId: session.accountId,
      subject: agent.id,
    });
  });
}

/** What the denial page shows to the reader of a mail. */
export interface DenialView {
  agentName: string;
  isDecided: boolean;
}

/** Shows a connection request to the reader of its mail. @throws Failure `notFound`, also if it was not mailed */
export async function viewDenial(deps: Pick<Deps, 'db'>, id: string): Promise<DenialView> {
  const { approval, agent } = await findApprovalWithAgent(deps.db, id);
  if (approval.mailbox === null) throw requestNotFound();
  return { agentName: agent.name, isDecided: approval.decidedAt !== null };
}

/**
 * Denies a connection request for the reader of its mail, and suppresses the sender's mail to that mailbox for a day.
 * If another human owns the host, the request is closed, but the agent is not rejected. If the request was decided
 * before, only the mail is suppressed.
 *
 * @param id of the connection request
 * @param input.noMore whether to suppress all mail of agents to that mailbox from now on
 * @throws Failure `notFound`, also if it was not mailed
 */
export async function denyConnectionByMail(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  input: { noMore: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { approval, host: hostBeforeLocks } = await findApprovalWithAgent(tx, id);
    if (approval.mailbox === null) throw requestNotFound();
    const owner = await findAccountByMailbox(tx, approval.mailbox);
    if (owner !== undefined) await lockAccount(tx, owner.id);
    await lockHost(tx, hostBeforeLocks.id);
    const { agent, host, asked } = await findApprovalWithAgent(tx, id);
    const sender = { id: host.id, name: agent.name, origin: approval.origin };
    await suppressMail(work, approval.mailbox, sender, input);
    if ((await updateApprovalDecided(tx, id, now)) !== 1) return;
    if (host.ownerId === null || host.ownerId === owner?.id) {
      for (const { capability } of asked)
        await refuseCapability(work, agent, capability, REFUSAL_REASONS.saidNo);
      if (agentLifecycle(deps, agent).state === 'pending')
        await updateHostedAgentEnded(tx, agent.id, 'rejected', now);
    }
    await recordEvent(work, { kind: 'agent.rejected', accountId: owner?.id, subject: agent.id });
  });
}

function nothingSelected(): Failure {
  return new Failure('badRequest', 'Nothing is selected. Select something, or decline.');
}

async function decideRequest<Result>(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  session: Session,
  change: (work: Work, found: ConnectionRequestRecords) => Promise<Result>,
): Promise<Result> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const beforeLocks = await findApprovalWithAgent(tx, id);
    if (!(await lockAccount(tx, session.accountId))) throw requestNotFound();
    await lockHost(tx, beforeLocks.host.id);
    if ((await updateApprovalDecided(tx, id, now)) !== 1) throw requestClosed();
    const found = await findApprovalWithAgent(tx, id);
    assertRequestOwner(found.approval, found.host, session);
    const { state } = agentLifecycle(deps, found.agent);
    if (hasHostEnded(deps, found.host) || (state !== 'pending' && state !== 'active')) throw requestClosed();
    return change(work, found);
  });
}
