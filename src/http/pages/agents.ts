import { isLive, type Key } from '../../domain/credentials/issue.ts';
import { listOwnedHosts } from '../../domain/hosts/owned-hosts.ts';
import { listOwnedAgents, type OwnedAgent, showOwnedAgent } from '../../domain/owner/owned-agent-view.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import type { Problem } from './forms.ts';
import { presentHost } from './hosts.ts';
import { presentLastUse } from './last-use.ts';
import { olderLink, presentList, readId, readListQuery } from './lists.ts';
import type { Pages } from './pages.ts';
import { describeScopes } from './scopes.ts';

/** The pages that show a signed-in human their agents. change-agent.ts changes them. */

/** What a page that shows an agent reads of a request. */
export type AgentCall = Pick<Call<unknown, 'signedInUser'>, 'deps' | 'caller' | 'params' | 'query'>;

/** GET /agents: lists the agents and the hosts of an account. */
export function agentsPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My agents',
    async handle({ deps, caller, query }) {
      const { accountId } = caller.session;
      const [agents, hosts] = await Promise.all([
        listOwnedAgents(deps, accountId, readListQuery(query)),
        listOwnedHosts(deps, accountId, { before: query.get('hosts') ?? undefined }),
      ]);
      return pages.show(caller, 'agents', {
        agents: agents.items.map(presentAgent),
        list: presentList(PAGES.agents, query, agents.next),
        isAdding: query.has('add'),
        hosts: hosts.items.map(presentHost),
        olderHosts: olderLink(PAGES.agents, query, 'hosts', hosts.next),
      });
    },
  });
}

/** GET /agents/:id: shows one agent with its scopes, keys and activity. */
export function agentPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'One of them',
    handle(call) {
      const narrowed = call.caller.draft(`${agentPath(call)}/narrow`);
      return showAgent(pages, call, narrowed && { kept: narrowed });
    },
  });
}

/** How many entries of its activity the page of an agent shows before all of them are asked for. */
const ACTIVITY_SHORT = 5;

/**
 * Shows the page of an agent.
 *
 * @param failed the fields of a form that was not executed, and what was wrong with it
 * @throws Failure `notFound`, also for an agent of another owner
 */
export async function showAgent(
  pages: Pages,
  call: AgentCall,
  failed: { kept?: Readonly<Record<string, unknown>> | undefined; problem?: Problem } = {},
): Promise<HandlerResult> {
  const { deps, caller, params, query } = call;
  const { problem } = failed;
  const before = { key: readId(query, 'keys'), event: readId(query, 'before') };
  const { agent, keys, activity } = await showOwnedAgent(deps, caller.session.accountId, params.id!, before);
  const path = agentPath(call);
  const isWhole = query.has('activity') || before.event !== undefined;
  const kept = isEnded(agent) ? undefined : failed.kept;
  const values = {
    agent: presentAgent(agent),
    problem: problem && isEnded(agent) ? { key: 'agents.problemEnded' } : problem,
    scopes: describeScopes(deps.config, agent.scopes).map((scope) => ({
      ...scope,
      on: kept === undefined || `scope:${scope.name}` in kept,
    })),
    keys: keys.items.map((key) => presentAgentKey(key, deps.clock())),
    olderKeys: olderLink(path, query, 'keys', keys.next),
    activity: isWhole ? activity.items : activity.items.slice(0, ACTIVITY_SHORT),
    allActivity:
      isWhole || activity.items.length <= ACTIVITY_SHORT ? undefined : `${path}?activity=all#activity`,
    older: isWhole ? olderLink(path, query, 'before', activity.next) : undefined,
  };
  return pages.show(caller, 'agent', values, problem === undefined ? 200 : 400);
}

/** Returns the path of the page of an agent. */
export function agentPath({ params }: Pick<AgentCall, 'params'>): `/${string}` {
  return `${PAGES.agents}/${params.id}`;
}

/** Reports whether an agent is revoked or past its lifetime, so that nothing about it can be changed. */
export function isEnded(agent: OwnedAgent): boolean {
  return agent.revokedAt !== undefined || agent.overAt !== undefined;
}

/** Prepares an agent for a template: its name, which may be unverified, as it is shown. */
export function presentAgent(agent: OwnedAgent): object {
  const { name, lastUse } = agent;
  return {
    ...agent,
    name: (name && displayName(name)) || undefined,
    lastUse: lastUse && presentLastUse(lastUse.at, lastUse.from),
    status: agent.revokedAt
      ? 'revoked'
      : agent.overAt
        ? 'ended'
        : agent.scopes.length === 0
          ? 'noLiveKey'
          : 'active',
  };
}

function presentAgentKey(key: Key, now: number): object {
  return {
    ...key,
    name: (key.name && displayName(key.name)) || undefined,
    status: isLive(key, now) ? 'active' : key.revokedAt === null ? 'expired' : 'revoked',
  };
}
