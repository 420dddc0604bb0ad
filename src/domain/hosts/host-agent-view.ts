import type { Deps } from '../../deps.ts';
import { parseScope } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import { type GrantRow, listGrants, listGrantsOf } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow, listHostedPage } from '../../store/hosted-agents.ts';
import { findHost, type HostRow } from '../../store/hosts.ts';
import { type AgentLifecycle, endOfLife, lifecycleOf } from '../agents/agent-lifecycle.ts';
import { capabilitiesOf, isAllowedByOwner } from './capabilities.ts';
import { type AskedApproval, openApprovalOf } from './connection-requests.ts';
import { protocolError } from './protocol-errors.ts';
import { REFUSED, refusedTo } from './refused-capabilities.ts';

/** An agent under a host, as its host and its human are told of it. */

/** An agent as its host is told of it. */
export interface HostedAgent {
  agent: HostedAgentRow;
  host: Pick<HostRow, 'id' | 'ownerId'>;
  life: AgentLifecycle;
  grants: GrantRow[];
  /** What its human refused before, by name. */
  refused: ReadonlySet<string>;
  /** The question to its human that is open. */
  approval: AskedApproval | undefined;
}

/** One of the host's agents. @throws Failure `protocolRefused`: `agent_not_found`, `unauthorized` */
export async function showOwnHostedAgent(deps: Deps, host: HostRow, id: string): Promise<HostedAgent> {
  await findOwn(deps.db, host, id);
  return showHostedAgent(deps, id);
}

/** An agent as it stands. */
export async function showHostedAgent(deps: Deps, id: string): Promise<HostedAgent> {
  return deps.db.tx(async (tx) => {
    const agent = (await findHostedAgent(tx, id))!;
    const host = (await findHost(tx, agent.hostId))!;
    const grants = (await listGrants(tx, id)).map((grant) =>
      grant.grantedAt === null || isAllowedByOwner(deps.config, agent, grant.capability)
        ? grant
        : { ...grant, grantedAt: null, deniedAt: grant.grantedAt, reason: REFUSED.tookBack },
    );
    const approval = await openApprovalOf(deps, tx, id);
    const before = await refusedTo(tx, host, id);
    return { agent, host, life: lifecycleOf(deps, agent), grants, refused: before, approval };
  });
}

export async function findOwn(db: Pick<Tx, 'get'>, host: HostRow, id: string): Promise<HostedAgentRow> {
  const agent = await findHostedAgent(db, id);
  if (agent === undefined) throw protocolError('agent_not_found', 'There is no such agent.');
  if (agent.hostId !== host.id) throw protocolError('unauthorized', 'This agent is of another host.');
  return agent;
}

/** What shows an agent that runs under a host. */
export interface HostedStanding {
  name: string;
  /** Of what it was granted, as far as its owner left it. */
  scopes: string[];
  /** Epoch ms. */
  seenAt: number | null;
  /** When it came to its end, if it has; epoch ms. */
  overAt: number | undefined;
}

/** How those of a page of agents stand that run under hosts, by id. */
export async function hostedStandings(
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  ids: readonly string[],
): Promise<Map<string, HostedStanding>> {
  const agents = await listHostedPage(deps.db, ids);
  if (agents.length === 0) return new Map();
  const grants = Map.groupBy(await listGrantsOf(deps.db, ids), ({ agentId }) => agentId);
  const known = capabilitiesOf(deps.config);
  return new Map(
    agents.map(({ id, name, agentScope, seenAt, createdAt }) => {
      const end = endOfLife(deps, createdAt);
      const left = agentScope ? parseScope(agentScope) : undefined;
      const granted = (grants.get(id) ?? [])
        .filter(({ grantedAt }) => grantedAt !== null)
        .map(({ capability }) => known.get(capability)?.scope)
        .filter((scope) => scope !== undefined);
      const scopes = [...new Set(granted)].filter((scope) => left === undefined || left.includes(scope));
      return [id, { name, scopes, seenAt, overAt: end <= deps.clock() ? end : undefined }];
    }),
  );
}
