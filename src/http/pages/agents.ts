import { type Key, keyStatus } from '../../domain/credentials/issue.ts';
import { countOwnedHosts, listOwnedHosts } from '../../domain/hosts/owned-hosts.ts';
import {
  AGENT_SORTS,
  AGENT_STATES,
  type AgentSort,
  countOwnedAgents,
  listOwnedAgents,
} from '../../domain/owner/list-owned-agents.ts';
import { type OwnedAgent, showOwnedAgent } from '../../domain/owner/owned-agent-view.ts';
import { listSessionKeysOf } from '../../domain/permissions/agent-keys.ts';
import { listGrantsOfAgent } from '../../domain/permissions/grants.ts';
import { findReviewPaths, listOpenRequestsOf } from '../../domain/permissions/open-requests.ts';
import { listPlacesOfHolders } from '../../domain/workspaces/pick-places.ts';
import { COUNT_MAX, EMPTY_PAGE, type ListQuery } from '../../lib/list-pages.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { withImplied } from '../../lib/scopes.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { type Call, type HandlerResult, operation } from '../server/table.ts';
import type { Problem } from './forms.ts';
import { presentHost } from './hosts.ts';
import { presentLastUse } from './last-use.ts';
import {
  type Choice,
  type ListView,
  listLink,
  presentFilters,
  presentPaging,
  presentSorts,
  readListQuery,
  readMark,
  rowsBefore,
  type SortColumn,
  type Tab,
} from './lists.ts';
import type { Pages } from './pages.ts';
import { presentGrants } from './present-permissions.ts';
import { presentPlaces } from './present-places.ts';
import { describeScopes } from './scopes.ts';
import { readWhere } from './where.ts';

/** The pages that show a signed-in human their agents. change-agent.ts changes them. */

/** What a page that shows an agent reads of a request. */
export type AgentCall = Pick<Call<unknown, 'signedInUser'>, 'deps' | 'caller' | 'params' | 'query'>;

/** GET /agents: lists the agents of an account or, on a tab of their own, its hosts. */
export function agentsPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My agents',
    async handle({ deps, caller, query }) {
      const { accountId } = caller.session;
      const wanted = readListQuery(query, { states: [...AGENT_STATES, 'environments'], sorts: AGENT_SORTS });
      const { search, sort, at } = wanted;
      const state = wanted.state === 'environments' ? undefined : wanted.state;
      const agentQuery = { search, state, sort, at };
      const counts = await countOwnedAgents(deps, accountId, agentQuery);
      const found = counts.active + counts.unused + counts.revoked;
      const isOfHosts = wanted.state === 'environments' && counts.hosts > 0;
      const view: ListView = { path: PAGES.agents, query, parameters: ['q', 'show', 'sort'] };
      const head = {
        total: counts.all,
        hasHosts: counts.hosts > 0,
        isAdding: query.has('add'),
        list: presentFilters(view, {
          tabs: presentTabs(counts, found),
          sorts: isOfHosts ? [] : SORT_CHOICES,
        }),
      };
      if (isOfHosts) {
        const { page, ...hosts } = await listHosts(deps, accountId, { search, at });
        return pages.show(caller, 'agents', {
          ...head,
          hosts: page.items.map(presentHost),
          paging: presentPaging(view, page, {
            total: hosts.found,
            preceding: rowsBefore(at, hosts.preceding, page),
            isFound: search !== undefined,
            isByTime: true,
          }),
        });
      }
      const total = state === undefined ? found : counts[state];
      // A search that finds nothing would look at all agents once more.
      const isEmpty = total === 0 && counts.all <= COUNT_MAX;
      const page = isEmpty ? EMPTY_PAGE : await listOwnedAgents(deps, accountId, agentQuery);
      const live = page.items.filter((agent) => !isEnded(agent));
      const reviews = await findReviewPaths(
        deps,
        live.map(({ id }) => id),
      );
      return pages.show(caller, 'agents', {
        ...head,
        agents: page.items.map((agent) => ({ ...presentAgent(agent), reviewPath: reviews.get(agent.id) })),
        sorts: presentSorts(view, sort, SORT_COLUMNS),
        paging: presentPaging(view, page, {
          total,
          preceding: rowsBefore(at, counts.preceding, page),
          isFound: search !== undefined,
          isByTime: sort === undefined,
        }),
      });
    },
  });
}

const SORT_COLUMNS = {
  name: { ascending: 'name', descending: '-name', first: 'ascending' },
  used: { ascending: 'used', descending: undefined, first: 'descending' },
} as const satisfies Record<string, SortColumn<AgentSort>>;

const SORT_CHOICES: readonly Choice[] = [
  { value: '', text: 'agents.sort.lastUsed' },
  { value: 'used', text: 'agents.sort.longestUnused' },
  { value: 'name', text: 'agents.sort.name' },
  { value: '-name', text: 'agents.sort.nameBackwards' },
];

/** The tabs of the agents; that of the hosts only where there are any. */
function presentTabs(counts: Awaited<ReturnType<typeof countOwnedAgents>>, found: number): Tab[] {
  const ofAgents = AGENT_STATES.map((state) => ({ text: `list.${state}`, state, count: counts[state] }));
  const ofHosts = { text: 'hosts.title', state: 'environments', count: counts.hosts };
  return [
    { text: 'list.all', state: undefined, count: found },
    ...ofAgents,
    ...(counts.hosts > 0 ? [ofHosts] : []),
  ];
}

async function listHosts(
  deps: AgentCall['deps'],
  accountId: string,
  query: Pick<ListQuery<never, never>, 'search' | 'at'>,
) {
  const [page, counts] = await Promise.all([
    listOwnedHosts(deps, accountId, query),
    countOwnedHosts(deps, accountId, query),
  ]);
  return { page, ...counts };
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

/** The parameters that page the keys of an agent, beside those of its activity. */
const KEY_MARKS = { after: 'keys', before: 'keys-before' };

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
  const at = { keys: readMark(query, KEY_MARKS), activity: readMark(query) };
  const { agent, keys, activity } = await showOwnedAgent(deps, caller.session.accountId, params.id!, at);
  const path = agentPath(call);
  const isWhole = query.has('activity') || at.activity !== undefined;
  const keyView: ListView = {
    path,
    query,
    parameters: ['activity', 'after', 'before'],
    marks: KEY_MARKS,
    anchor: 'keys',
  };
  const activityView: ListView = {
    path,
    query,
    parameters: ['activity', ...Object.values(KEY_MARKS)],
    anchor: 'activity',
  };
  const where = await readWhere(deps, caller.session.accountId, {});
  const given = (await listPlacesOfHolders(deps, [agent.id])).get(agent.id) ?? [];
  const places = given.filter(({ endedAt }) => endedAt === null);
  const kept = isEnded(agent) ? undefined : failed.kept;
  const values = {
    agent: presentAgent(agent),
    problem: problem && isEnded(agent) ? { key: 'agents.problemEnded' } : problem,
    scopes: describeScopes(deps.config, agent.scopes).map((scope) => ({
      ...scope,
      implies: withImplied([scope.name], deps.config.scopes).filter(
        (name) => name !== scope.name && agent.scopes.includes(name),
      ),
      on: kept === undefined || `scope:${scope.name}` in kept,
    })),
    ...(await presentPermissions(deps, agent)),
    hasWhere: where !== undefined || places.length > 0,
    places: places.length > 0 ? presentPlaces(places) : undefined,
    keys: keys.items.map((key) => presentAgentKey(key, deps.clock())),
    keyPaging: presentPaging(keyView, keys, { isByTime: true }),
    activity: isWhole ? activity.items : activity.items.slice(0, ACTIVITY_SHORT),
    allActivity:
      isWhole || activity.items.length <= ACTIVITY_SHORT
        ? undefined
        : listLink(activityView, { activity: 'all' }),
    activityPaging: isWhole ? presentPaging(activityView, activity, { isByTime: true }) : undefined,
  };
  return pages.show(caller, 'agent', values);
}

/** What an agent asks for, what was granted to it, and the session keys by which it asks. */
async function presentPermissions(deps: AgentCall['deps'], agent: OwnedAgent): Promise<object> {
  if (isEnded(agent)) return { requests: [], grants: [], sessionKeys: [] };
  const [requests, grants, keys] = await Promise.all([
    listOpenRequestsOf(deps, agent.id),
    listGrantsOfAgent(deps, agent.id).then((rows) => presentGrants(deps, rows)),
    listSessionKeysOf(deps, agent.id),
  ]);
  return {
    requests: requests.map(({ name, ...each }) => ({ ...each, name: displayName(name ?? '') })),
    grants,
    sessionKeys: keys.map(({ boundBy, confirmedAt, ...key }) => ({
      ...key,
      endsWithKey: boundBy !== null && confirmedAt === null,
    })),
  };
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

/** Prepares a key of an agent for a template. @param now epoch ms */
export function presentAgentKey(key: Key, now: number): object {
  return {
    ...key,
    name: (key.name && displayName(key.name)) || undefined,
    status: keyStatus(key, now),
  };
}
