import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { holdAccount } from '../store/accounts.ts';
import { insertAgent } from '../store/agents.ts';
import {
  type ApprovalRow,
  decideApproval,
  endApprovals,
  findApproval,
  findApprovalByCode,
  findOpenApproval,
  insertApproval,
} from '../store/approvals.ts';
import type { Tx } from '../store/db.ts';
import { allowGrant, denyGrant, type GrantRow, listGrants } from '../store/grants.ts';
import {
  activateHostedAgent,
  endHostedAgent,
  findHostedAgent,
  type HostedAgentRow,
} from '../store/hosted-agents.ts';
import { findHost, type HostRow, holdHost } from '../store/hosts.ts';
import { insertMail } from '../store/outbox.ts';
import { isHostOver, lifeOf } from './agent-lives.ts';
import { approvalCode, approvalCodeMac, approvalLink } from './approval-codes.ts';
import { capabilitiesOf } from './capabilities.ts';
import type { Constraints } from './constraints.ts';
import { type Asker, record } from './events.ts';
import { linkHost } from './hosts.ts';
import { limited, mailSpendings, spend } from './limits.ts';
import { recordAndTell } from './notices.ts';
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
  capabilities: { name: string; description: string; constraints: Constraints | undefined }[];
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
  const { approval, agent, host, asked } = await find(deps.db, id);
  refuseStranger(approval, host, session);
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
    })),
  };
}

/**
 * Lets an agent in with some or all of what it asked for, by a human who has just typed a mailed code. Its host is theirs with
 * it, and what other agents of the host did alone (agent-auth-protocol.md 7.4).
 *
 * @param allowed names of capabilities; those that are not among them are denied
 * @throws Failure `notFound`, `forbidden`, `codeExpired`
 */
export async function approveAgent(
  deps: Deps,
  asker: Asker,
  id: string,
  session: Session,
  allowed: readonly string[],
): Promise<void> {
  await decide(deps, id, session, async (tx, now, { agent, host, asked }) => {
    const { accountId } = session;
    if (!(await linkHost(tx, deps, asker, now, host, accountId))) throw somebodyElse();
    const isNew = lifeOf(deps, agent).state === 'pending';
    if (isNew) {
      await insertAgent(tx, {
        id: agent.id,
        accountId,
        registrationId: host.registrationId,
        name: agent.name,
        now,
        ownedAt: now,
      });
      if ((await activateHostedAgent(tx, agent.id, now)) !== 1) throw over();
    }
    for (const { capability } of asked) {
      if (allowed.includes(capability)) await allowGrant(tx, agent.id, capability, accountId, now);
      else await denyGrant(tx, agent.id, capability, 'Your human did not allow it.', now);
    }
    const granted = asked.filter(({ capability }) => allowed.includes(capability));
    await recordAndTell(tx, deps, asker, now, accountId, {
      kind: isNew ? 'agent.connected' : 'capability.granted',
      agentId: agent.id,
      details: { host: host.id, capabilities: granted.map(({ capability }) => capability).join(' ') },
    });
  });
}

/** Turns an agent away: one that is not in yet for good, one that is from what it asked for. @throws Failure as approveAgent */
export async function rejectAgent(deps: Deps, asker: Asker, id: string, session: Session): Promise<void> {
  await decide(deps, id, session, async (tx, now, { agent, asked }) => {
    for (const { capability } of asked) {
      await denyGrant(tx, agent.id, capability, 'Your human said no.', now);
    }
    if (lifeOf(deps, agent).state === 'pending') await endHostedAgent(tx, agent.id, 'rejected', now);
    await record(tx, deps, asker, now, {
      kind: 'agent.rejected',
      accountId: session.accountId,
      subject: agent.id,
    });
  });
}

interface Found {
  approval: ApprovalRow;
  agent: HostedAgentRow;
  host: HostRow;
  asked: GrantRow[];
}

async function decide(
  deps: Deps,
  id: string,
  session: Session,
  change: (tx: Tx, now: number, found: Found) => Promise<void>,
): Promise<void> {
  await deps.db.tx(async (tx) => {
    const now = deps.clock();
    const before = await find(tx, id);
    if (!(await holdAccount(tx, session.accountId))) throw gone();
    await holdHost(tx, before.host.id);
    if ((await decideApproval(tx, id, now)) !== 1) throw over();
    const found = await find(tx, id);
    refuseStranger(found.approval, found.host, session);
    const life = lifeOf(deps, found.agent).state;
    if (isHostOver(deps, found.host) || (life !== 'pending' && life !== 'active')) throw over();
    await change(tx, now, found);
  });
}

async function find(db: Pick<Tx, 'get' | 'all'>, id: string): Promise<Found> {
  const approval = await findApproval(db, id);
  const agent = approval && (await findHostedAgent(db, approval.agentId));
  const host = agent && (await findHost(db, agent.hostId));
  if (approval === undefined || agent === undefined || host === undefined) throw gone();
  const grants = await listGrants(db, agent.id);
  const asked = grants.filter(({ grantedAt, deniedAt }) => grantedAt === null && deniedAt === null);
  return { approval, agent, host, asked };
}

function refuseStranger(approval: ApprovalRow, host: HostRow, session: Session): void {
  const isTheirs = host.ownerId === null || host.ownerId === session.accountId;
  if (!isTheirs || (approval.mailbox !== null && approval.mailbox !== session.mailbox)) throw somebodyElse();
}

function somebodyElse(): Failure {
  return new Failure('forbidden', 'This agent asks somebody else. Sign out first if that is you, too.');
}

function gone(): Failure {
  return new Failure('notFound', 'There is no such request. It may be over: let the agent ask again.');
}

function over(): Failure {
  return new Failure('codeExpired', 'This request is over. Let the agent ask again.');
}
