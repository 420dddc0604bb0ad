import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type ApprovalRow, findApproval, findApprovalByCode } from '../../store/approvals.ts';
import type { Tx } from '../../store/engine/db.ts';
import { type GrantRow, listGrants } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow } from '../../store/hosted-agents.ts';
import { findHost, type HostRow } from '../../store/hosts.ts';
import type { RequestOrigin } from '../../work.ts';
import type { Session } from '../accounts/sessions.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { capabilitiesOf } from './capabilities.ts';
import { approvalCodeMac } from './connection-codes.ts';
import type { Constraints } from './constraints.ts';
import { refusedTo } from './refused-capabilities.ts';

/** A connection request as the human who decides about it sees it. */

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
export async function findApprovalByTypedCode(
  deps: Deps,
  origin: RequestOrigin,
  code: string,
): Promise<string> {
  const row = await findApprovalByCode(deps.db, approvalCodeMac(deps, code), deps.clock());
  if (row !== undefined) return row.id;
  const counters = [{ name: 'wrongPerIpHour', key: origin.address.limitKey }] as const;
  await useCase(deps, origin, {}, async (work) => consumeLimits(work, counters));
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
  assertItsHuman(approval, host, session);
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
export function assertItsHuman(approval: ApprovalRow, host: HostRow, session: Session): void {
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
