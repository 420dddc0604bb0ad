import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import {
  type ApprovalRow,
  findOpenApproval,
  insertApproval,
  listOpenApprovalsOfOwner,
  updateApprovalsOfAgentDecided,
} from '../../store/approvals.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { queueMail } from '../audit/queue-mail.ts';
import { claimMailLimits } from '../limits/limits.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { connectionCode, connectionCodeMac, connectionLink } from './connection-codes.ts';

/** An open connection request as its agent and host see it (Agent Auth Protocol 1.0-draft, section 7). */
export interface OpenConnectionRequest {
  method: ApprovalRow['method'];
  /** Epoch ms. */
  expiresAt: number;
  /** The link to the request: `verification_uri_complete`. */
  verificationUri: string;
  code: string;
  bindingMessage: string | undefined;
}

/**
 * A little longer than published clients poll, so that a late approval still counts (Agent Auth Protocol 1.0-draft,
 * section 7).
 */
const APPROVAL_MS = 600_000;

/** What an agent sends with a request for a connection or for capabilities. All of it is unverified. */
export interface ConnectionRequestInput {
  reason: string | undefined;
  bindingMessage: string | undefined;
  /** The canonical mailbox of the human whom the agent names. */
  mailbox: string | undefined;
  method: ApprovalRow['method'];
}

/**
 * Creates a connection request for an agent in the caller's transaction, and closes its open one. The human opens the
 * page by the link or the code that the agent shows, or by a mailed link.
 *
 * @throws Failure `limited`
 */
export async function createConnectionRequest(
  work: Work,
  agent: Pick<HostedAgentRow, 'id'>,
  request: ConnectionRequestInput,
): Promise<OpenConnectionRequest> {
  const { tx, now, deps, origin } = work;
  await updateApprovalsOfAgentDecided(tx, agent.id, now);
  const id = newId('apr', now, deps.random);
  // Without a mailbox there is nobody to mail: the agent sends its human to the page.
  const mailbox = request.method === 'ciba' ? request.mailbox : undefined;
  const approval: ApprovalRow = {
    id,
    agentId: agent.id,
    method: mailbox === undefined ? 'device_authorization' : 'ciba',
    mailbox: mailbox ?? null,
    codeMac: connectionCodeMac(deps, connectionCode(deps, id)),
    reason: request.reason ?? null,
    bindingMessage: request.bindingMessage ?? null,
    origin: origin.address.coarse,
    createdAt: now,
    expiresAt: now + APPROVAL_MS,
    decidedAt: null,
  };
  await insertApproval(tx, approval);
  if (mailbox !== undefined) {
    await consumeLimits(work, claimMailLimits(mailbox, origin.address, agent.id));
    await queueMail(work, {
      kind: 'approval',
      attemptId: id,
      mailbox,
      giveUpAt: approval.expiresAt,
    });
  }
  await recordEvent(work, {
    kind: 'agent.asked',
    subject: agent.id,
    details: { method: approval.method },
  });
  return describeApproval(deps, approval);
}

/** Finds the open connection request of an agent. @returns undefined if there is none */
export async function findOpenConnectionRequest(
  deps: Deps,
  db: Pick<Tx, 'get'>,
  agentId: string,
): Promise<OpenConnectionRequest | undefined> {
  const row = await findOpenApproval(db, agentId, deps.clock());
  return row && describeApproval(deps, row);
}

/** A connection request of an agent that acts for its owner already: it asks for more. */
export interface OwnedConnectionRequest {
  agentId: string;
  /** Unverified. */
  name: string;
  /** Epoch ms. */
  askedAt: number;
  /** Where it is decided: the path of a page. */
  path: string;
}

/** Lists the newest open connection requests of the agents of a human. */
export async function listOpenConnectionRequests(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring' | 'config'>,
  ownerId: string,
): Promise<OwnedConnectionRequest[]> {
  const rows = await listOpenApprovalsOfOwner(deps.db, ownerId, deps.clock());
  return rows.map(({ id, agentId, agentName, createdAt }) => ({
    agentId,
    name: agentName,
    askedAt: createdAt,
    path: connectionLink(deps, id).slice(deps.config.publicUrl.length),
  }));
}

function describeApproval(deps: Deps, row: ApprovalRow): OpenConnectionRequest {
  return {
    method: row.method,
    expiresAt: row.expiresAt,
    verificationUri: connectionLink(deps, row.id),
    code: connectionCode(deps, row.id),
    bindingMessage: row.bindingMessage ?? undefined,
  };
}
