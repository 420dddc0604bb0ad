import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import {
  type ApprovalRow,
  endApprovals,
  findApproval,
  findApprovalByCode,
  findOpenApproval,
  insertApproval,
} from '../store/approvals.ts';
import type { Tx } from '../store/db.ts';
import { type GrantRow, listGrants } from '../store/grants.ts';
import { findHostedAgent, type HostedAgentRow } from '../store/hosted-agents.ts';
import { findHost, type HostRow } from '../store/hosts.ts';
import { insertMail } from '../store/outbox.ts';
import { approvalCode, approvalCodeMac, approvalLink } from './approval-codes.ts';
import { capabilitiesOf } from './capabilities.ts';
import type { Constraints } from './constraints.ts';
import { type Asker, record } from './events.ts';
import { limited } from './limit-audit.ts';
import { mailSpendings, spend } from './limits.ts';
import { refusedTo } from './refused-capabilities.ts';
import type { Session } from './sessions.ts';

/** A question to a human, as the agent that asked it is told (agent-auth-protocol.md 3.4). */
export interface AskedApproval {
  method: ApprovalRow['method'];
  /** Epoch ms. */
  expiresAt: number;
  /** Of the device page. */
  verificationUri: string;
  code: string;
  bindingMessage: string | undefined;
}

/** A little longer than published clients wait, so that a late yes still lands (agent-auth-protocol.md 7.4). */
const APPROVAL_MS = 600_000;

/** What an agent says when it asks. Texts are as it wrote them. */
export interface Question {
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
export async function askHuman(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  agent: Pick<HostedAgentRow, 'id'>,
  question: Question,
): Promise<AskedApproval> {
  await endApprovals(tx, agent.id, now);
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
    origin: asker.address.coarse,
    createdAt: now,
    expiresAt: now + APPROVAL_MS,
    decidedAt: null,
  };
  await insertApproval(tx, approval);
  if (mailbox !== undefined) {
    await spend(tx, deps, mailSpendings(mailbox, asker.address, agent.id), now);
    await insertMail(tx, {
      id: newId('out', now, deps.random),
      kind: 'approval',
      attemptId: id,
      mailbox,
      createdAt: now,
      giveUpAt: approval.expiresAt,
    });
  }
  await record(tx, deps, asker, now, {
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

/** What a human is shown of a question. All texts of agent and host are unverified. */
export interface ApprovalView {
  id: string;
  state: 'open' | 'decided' | 'over';
  agentName: string;
  hostName: string | undefined;
  /** Whether the host is theirs already. */
  isKnownHost: boolean;
  reason: string | undefined;
  bindingMessage: string | undefined;
  origin: string;
  /** Epoch ms. */
  askedAt: number;
  /** How many agents of the host have worked alone, and will be theirs. */
  capabilities: {
    name: string;
    description: string;
    constraints: Constraints | undefined;
    /** Whether the human refused it before, to this agent or another one of the host. */
    wasRefused: boolean;
  }[];
}

/**
 * The approval of a code that was typed. A wrong one is counted against the address: there is nothing else to count it against.
 *
 * @throws Failure `wrongCode`, `limited`
 */
export async function findByCode(deps: Deps, asker: Asker, code: string): Promise<string> {
  const row = await findApprovalByCode(deps.db, approvalCodeMac(deps, code), deps.clock());
  if (row !== undefined) return row.id;
  const spendings = [{ name: 'wrongPerIpHour', key: asker.address.limitKey }] as const;
  await limited(deps, asker, () => deps.db.tx((tx) => spend(tx, deps, spendings, deps.clock())));
  throw new Failure(
    'wrongCode',
    'No agent waits with this code. Look at it again, or let the agent ask anew.',
  );
}

/**
 * A question, for a human who is signed in. Looking changes nothing.
 *
 * @throws Failure `notFound`; `forbidden` where the host is somebody else's, or the mail went to somebody else
 */
export async function viewApproval(deps: Deps, id: string, session: Session): Promise<ApprovalView> {
  const { approval, agent, host, asked } = await findApprovalWithAgent(deps.db, id);
  refuseStranger(approval, host, session);
  const before = await refusedTo(deps.db, host, agent.id);
  const known = capabilitiesOf(deps.config);
  return {
    id,
    state: approval.decidedAt !== null ? 'decided' : approval.expiresAt <= deps.clock() ? 'over' : 'open',
    agentName: agent.name,
    hostName: host.name ?? undefined,
    isKnownHost: host.ownerId !== null,
    reason: approval.reason ?? undefined,
    bindingMessage: approval.bindingMessage ?? undefined,
    origin: approval.origin,
    askedAt: approval.createdAt,
    capabilities: asked.map(({ capability, constraints }) => ({
      name: capability,
      description: known.get(capability)?.description ?? '',
      constraints: constraints === null ? undefined : (JSON.parse(constraints) as Constraints),
      wasRefused: before.has(capability),
    })),
  };
}

/** A question, who asks it, and what is asked. */
export interface Found {
  approval: ApprovalRow;
  agent: HostedAgentRow;
  host: HostRow;
  asked: GrantRow[];
}

/** A question with its agent and host, and what is asked. @throws Failure `notFound` */
export async function findApprovalWithAgent(db: Pick<Tx, 'get' | 'all'>, id: string): Promise<Found> {
  const approval = await findApproval(db, id);
  const agent = approval && (await findHostedAgent(db, approval.agentId));
  const host = agent && (await findHost(db, agent.hostId));
  if (approval === undefined || agent === undefined || host === undefined) throw gone();
  const grants = await listGrants(db, agent.id);
  const asked = grants.filter(({ grantedAt, deniedAt }) => grantedAt === null && deniedAt === null);
  return { approval, agent, host, asked };
}

/** @throws Failure `forbidden` where the host is somebody else's, or the mail went to somebody else */
export function refuseStranger(approval: ApprovalRow, host: HostRow, session: Session): void {
  const isTheirs = host.ownerId === null || host.ownerId === session.accountId;
  if (!isTheirs || (approval.mailbox !== null && approval.mailbox !== session.mailbox)) throw somebodyElse();
}

export function somebodyElse(): Failure {
  return new Failure('forbidden', 'This agent asks somebody else. Sign out first if that is you, too.');
}

export function gone(): Failure {
  return new Failure('notFound', 'There is no such request. It may be over: let the agent ask again.');
}

export function over(): Failure {
  return new Failure('codeExpired', 'This request is over. Let the agent ask again.');
}
