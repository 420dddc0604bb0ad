import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import {
  type ApprovalRow,
  findOpenApproval,
  insertApproval,
  updateApprovalsOfAgentDecided,
} from '../../store/approvals.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { mailLimits } from '../limits/limits.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { approvalCode, approvalCodeMac, approvalLink } from './connection-codes.ts';
/** A question to a human, as the agent that asked it is told (Agent Auth Protocol 1.0-draft, section 7). */
export interface AskedApproval {
  method: ApprovalRow['method'];
  /** Epoch ms. */
  expiresAt: number;
  /** Of the device page. */
  verificationUri: string;
  code: string;
  bindingMessage: string | undefined;
}

/** A little longer than published clients wait, so that a late yes still lands (Agent Auth Protocol 1.0-draft, section 7). */
const APPROVAL_MS = 600_000;

/** What an agent says when it asks. Texts are as it wrote them. */
export interface ConnectionRequest {
  reason: string | undefined;
  bindingMessage: string | undefined;
  /** Canonical; whom it works for, as it says. */
  mailbox: string | undefined;
  method: ApprovalRow['method'];
}

/**
 * Asks a human about an agent, in the caller's transaction: they come to the page by the link and code that the agent shows, or by
 * mail. What was asked before is over.
 *
 * @throws Failure `limited`
 */
export async function createConnectionRequest(
  work: Work,
  agent: Pick<HostedAgentRow, 'id'>,
  question: ConnectionRequest,
): Promise<AskedApproval> {
  const { tx, now, deps, origin } = work;
  await updateApprovalsOfAgentDecided(tx, agent.id, now);
  const id = newId('apr', now, deps.random);
  // Whoever names no mailbox is sent to the page: there is nobody to mail.
  const mailbox = question.method === 'ciba' ? question.mailbox : undefined;
  const approval: ApprovalRow = {
    id,
    agentId: agent.id,
    method: mailbox === undefined ? 'device_authorization' : 'ciba',
    mailbox: mailbox ?? null,
    codeMac: approvalCodeMac(deps, approvalCode(deps, id)),
    reason: question.reason ?? null,
    bindingMessage: question.bindingMessage ?? null,
    origin: origin.address.coarse,
    createdAt: now,
    expiresAt: now + APPROVAL_MS,
    decidedAt: null,
  };
  await insertApproval(tx, approval);
  if (mailbox !== undefined) {
    await consumeLimits(work, mailLimits(mailbox, origin.address, agent.id));
    await queueMail(work, {
      kind: 'approval',
      attemptId: id,
      mailbox,
      giveUpAt: approval.expiresAt,
    });
  }
  await record(work, {
    kind: 'agent.asked',
    subject: agent.id,
    details: { method: approval.method },
  });
  return describeApproval(deps, approval);
}

/** The question that an agent has open, as it is told of it. */
export async function openApprovalOf(
  deps: Deps,
  db: Pick<Tx, 'get'>,
  agentId: string,
): Promise<AskedApproval | undefined> {
  const row = await findOpenApproval(db, agentId, deps.clock());
  return row && describeApproval(deps, row);
}

function describeApproval(deps: Deps, row: ApprovalRow): AskedApproval {
  return {
    method: row.method,
    expiresAt: row.expiresAt,
    verificationUri: approvalLink(deps, row.id),
    code: approvalCode(deps, row.id),
    bindingMessage: row.bindingMessage ?? undefined,
  };
}
