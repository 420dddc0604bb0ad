import type { Deps } from '../../deps.ts';
import { restrictTo } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import { type GrantRow, listGrants, listGrantsOf } from '../../store/grants.ts';
import { findHostedAgent, type HostedAgentRow, listHostedPage } from '../../store/hosted-agents.ts';
import { findHost, type HostRow } from '../../store/hosts.ts';
import { type AgentLifecycle, absoluteLifetimeEnd, agentLifecycle } from '../agents/agent-lifecycle.ts';
import { capabilitiesOf, isAllowedByOwner } from './capabilities.ts';
import { findOpenConnectionRequest, type OpenConnectionRequest } from './connection-requests.ts';
import { protocolError } from './protocol-errors.ts';
import { listRefused, REFUSAL_REASONS } from './refused-capabilities.ts';

/** Agents under hosts, as their host and their owner see them. */

/** An agent as its host sees it. */
export interface HostedAgent {
  agent: HostedAgentRow;
  host: Pick<HostRow, 'id' | 'ownerId'>;
  life: AgentLifecycle;
  grants: GrantRow[];
  /** The names of the capabilities that its human refused before. */
  refused: ReadonlySet<string>;
  /** Its open connection request. */
  approval: OpenConnectionRequest | undefined;
}

/** Shows an agent to its host. @throws Failure `protocolRefused`: `agent_not_found`, `unauthorized` */
export async function showOwnHostedAgent(deps: Deps, host: HostRow, id: string): Promise<HostedAgent> {
  await findAgentOfHost(deps.db, host, id);
  return showHostedAgent(deps, id);
}

/**
 * Shows an agent. A grant whose scope the owner has removed since is shown as denied.
 *
 * @param id of an agent that exists
 */
export async function showHostedAgent(deps: Deps, id: string): Promise<HostedAgent> {
  return deps.db.tx(async (tx) => {
    const agent = (await findHostedAgent(tx, id))!;
    const host = (await findHost(tx, agent.hostId))!;
    const grants = (await listGrants(tx, id)).map((grant) =>
      grant.grantedAt === null || isAllowedByOwner(deps.config, agent, grant.capability)
        ? grant
        : { ...grant, grantedAt: null, deniedAt: grant.grantedAt, reason: REFUSAL_REASONS.tookBack },
    );
    const approval = await findOpenConnectionRequest(deps, tx, id);
    const refused = await listRefused(tx, host, id);
    return { agent, host, life: agentLifecycle(deps, agent), grants, refused, approval };
  });
}

/**
 * Finds an agent of a host.
 *
 * @throws Failure `protocolRefused`: `agent_not_found`, `unauthorized` if another host has it
 */
export async function findAgentOfHost(
  db: Pick<Tx, 'get'>,
  host: HostRow,
  id: string,
): Promise<HostedAgentRow> {
  const agent = await findHostedAgent(db, id);
  if (agent === undefined) throw protocolError('agent_not_found', 'There is no such agent.');
  if (agent.hostId !== host.id) throw protocolError('unauthorized', 'This agent is of another host.');
  return agent;
}

/** What an owner's pages show of an agent under a host. */
export interface HostedAgentSummary {
  name: string;
  /** The scopes of its active grants, less those that its owner removed; of a revoked agent, of those until then. */
  scopes: string[];
  /** When it last signed a request, epoch ms. */
  seenAt: number | null;
  /** When its absolute lifetime elapsed, epoch ms; undefined: it has not. */
  overAt: number | undefined;
}

/** Describes those agents of a page that run under hosts. @returns a map by agent id */
export async function listHostedAgentSummaries(
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  ids: readonly string[],
): Promise<Map<string, HostedAgentSummary>> {
  const agents = await listHostedPage(deps.db, ids);
  if (agents.length === 0) return new Map();
  const grants = Map.groupBy(await listGrantsOf(deps.db, ids), ({ agentId }) => agentId);
  const known = capabilitiesOf(deps.config);
  return new Map(
    agents.map(({ id, name, agentScope, seenAt, createdAt, agentRevokedAt }) => {
      const endsAt = absoluteLifetimeEnd(deps, createdAt);
      const grantedScopes = (grants.get(id) ?? [])
        .filter(
          ({ grantedAt, deniedAt }) =>
            grantedAt !== null || (deniedAt !== null && deniedAt === agentRevokedAt),
        )
        .map(({ capability }) => known.get(capability)?.scope)
        .filter((scope) => scope !== undefined);
      const scopes = restrictTo([...new Set(grantedScopes)], agentScope);
      return [id, { name, scopes, seenAt, overAt: endsAt <= deps.clock() ? endsAt : undefined }];
    }),
  );
}
