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
import { connectionCodeMac } from './connection-codes.ts';
import type { Constraints } from './constraints.ts';
import { listRefused } from './refused-capabilities.ts';

/** A connection request as the human who decides about it sees it. */

/** What its page shows of a connection request. All texts of agent and host are unverified. */
export interface ConnectionRequestView {
  id: string;
  /** `over`: the request has expired. */
  state: 'open' | 'decided' | 'over';
  agentId: string;
  agentName: string;
  /** Whether the agent acts for nobody yet. */
  isNewAgent: boolean;
  /** When the agent registered, epoch ms. */
  firstSeenAt: number;
  hostName: string | undefined;
  /** Whether the human owns the host already. */
  isKnownHost: boolean;
  reason: string | undefined;
  bindingMessage: string | undefined;
  /** The coarse network from which the agent asked. */
  origin: string;
  /** Epoch ms. */
  askedAt: number;
  /** The capabilities that the agent requests. */
  capabilities: {
    name: string;
    /** In words for people: of a token, what its scope allows. */
    description: string;
    /** Whether what it allows cannot be undone. */
    isDestructive: boolean;
    constraints: Constraints | undefined;
    /** Whether the human refused it before, to this agent or to another agent of the host. */
    wasRefused: boolean;
  }[];
}

/**
 * Finds the open connection request of a code that a human typed. A wrong code counts against the client's address,
 * since it belongs to no request.
 *
 * @returns the id of the request
 * @throws Failure `wrongCode`, `limited`
 */
export async function findConnectionRequestByCode(
  deps: Deps,
  origin: RequestOrigin,
  code: string,
): Promise<string> {
  const row = await findApprovalByCode(deps.db, connectionCodeMac(deps, code), deps.clock());
  if (row !== undefined) return row.id;
  const counters = [{ name: 'wrongPerIpHour', key: origin.address.limitKey }] as const;
  await useCase(deps, origin, {}, async (work) => consumeLimits(work, counters));
  throw new Failure(
    'wrongCode',
    'No agent waits with this code. Look at it again, or let the agent ask anew.',
  );
}

/**
 * Shows a connection request to a signed-in human, and changes nothing.
 *
 * @throws Failure `notFound`; `forbidden` if another human owns the host, or the mail went to another mailbox
 */
export async function viewConnectionRequest(
  deps: Deps,
  id: string,
  session: Session,
): Promise<ConnectionRequestView> {
  const { approval, agent, host, asked } = await findApprovalWithAgent(deps.db, id);
  assertRequestOwner(approval, host, session);
  const before = await listRefused(deps.db, host, agent.id);
  return {
    id,
    state: approval.decidedAt !== null ? 'decided' : approval.expiresAt <= deps.clock() ? 'over' : 'open',
    agentId: agent.id,
    agentName: agent.name,
    isNewAgent: agent.activatedAt === null,
    firstSeenAt: agent.createdAt,
    hostName: host.name ?? undefined,
    isKnownHost: host.ownerId !== null,
    reason: approval.reason ?? undefined,
    bindingMessage: approval.bindingMessage ?? undefined,
    origin: approval.origin,
    askedAt: approval.createdAt,
    capabilities: asked.map(({ capability, constraints }) => ({
      name: capability,
      ...describeCapability(deps.config, capability),
      constraints: constraints === null ? undefined : (JSON.parse(constraints) as Constraints),
      wasRefused: before.has(capability),
    })),
  };
}

/** Describes a capability in words for people: of a token, what its scope allows. */
function describeCapability(config: Deps['config'], name: string) {
  const capability = capabilitiesOf(config).get(name);
  const scope = capability?.scope === undefined ? undefined : config.scopes.get(capability.scope);
  const description = capability?.run.kind === 'token' ? scope?.description : capability?.description;
  return { description: description ?? '', isDestructive: scope?.destructive === true };
}

/** A connection request with its agent, its host, and the grants that are neither granted nor denied yet. */
export interface ConnectionRequestRecords {
  approval: ApprovalRow;
  agent: HostedAgentRow;
  host: HostRow;
  asked: GrantRow[];
}

/** Finds a connection request with its agent, its host and its undecided grants. @throws Failure `notFound` */
export async function findApprovalWithAgent(
  db: Pick<Tx, 'get' | 'all'>,
  id: string,
): Promise<ConnectionRequestRecords> {
  const approval = await findApproval(db, id);
  const agent = approval && (await findHostedAgent(db, approval.agentId));
  const host = agent && (await findHost(db, agent.hostId));
  if (approval === undefined || agent === undefined || host === undefined) throw requestNotFound();
  const grants = await listGrants(db, agent.id);
  const asked = grants.filter(({ grantedAt, deniedAt }) => grantedAt === null && deniedAt === null);
  return { approval, agent, host, asked };
}

/** @throws Failure `forbidden` if another human owns the host, or the mail went to another mailbox */
export function assertRequestOwner(approval: ApprovalRow, host: HostRow, session: Session): void {
  const isTheirs = host.ownerId === null || host.ownerId === session.accountId;
  if (!isTheirs || (approval.mailbox !== null && approval.mailbox !== session.mailbox))
    throw notYourRequest();
}

/** Creates the failure for a connection request that belongs to another human. */
export function notYourRequest(): Failure {
  return new Failure('forbidden', 'This agent asks somebody else. Sign out first if that is you, too.');
}

/** Creates the failure for an unknown connection request. */
export function requestNotFound(): Failure {
  return new Failure('notFound', 'There is no such request. It may be over: let the agent ask again.');
}

/** Creates the failure for a connection request that has expired or been decided. */
export function requestClosed(): Failure {
  return new Failure('codeExpired', 'This request is over. Let the agent ask again.');
}
