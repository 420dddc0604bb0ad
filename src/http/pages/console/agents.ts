import {
  AGENT_STATUSES,
  AGENT_TYPES,
  type AgentsQuery,
  allAgentsFound,
  type FoundAgent,
  findAgents,
  findAgentsById,
  revokeAgents,
  showFoundAgent,
} from '../../../domain/operators/agents.ts';
import { countAllAgents } from '../../../domain/operators/figures.ts';
import { listSessionKeysOf } from '../../../domain/permissions/agent-keys.ts';
import { listGrantsOfAgent } from '../../../domain/permissions/grants.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { displayName } from '../../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { toIso } from '../../server/wire-times.ts';
import { presentAgentKey } from '../agents.ts';
import { readId, readOneOf } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { presentGrants } from '../present-permissions.ts';
import { csvFile } from './csv.ts';
import { createMenu, readSearch, readSince, showList, TIME_MENU } from './lists.ts';
import { type Revocable, revokeRows } from './revoke.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of agents: the list, its export, one agent, and revoking some. */

const none = undefined;
const MENUS = [createMenu('status', AGENT_STATUSES), createMenu('type', AGENT_TYPES), TIME_MENU];

const REVOCABLE: Revocable<FoundAgent> = {
  section: 'agents',
  kind: 'agent',
  page: { summary: 'Ask before agents end' },
  act: { summary: 'End agents and their keys' },
  find: findAgentsById,
  revoke: revokeAgents,
  present: presentAgent,
  pageOf: (id) => `${CONSOLE.agents}/${id}`,
};

export function agentRows(pages: Pages): Row[] {
  return [
    row('GET', CONSOLE.agents, 'operator', none, agentsPage(pages)),
    row('GET', `${CONSOLE.agents}.csv`, 'operator', none, exportAgents),
    ...revokeRows(pages, REVOCABLE),
    row('GET', `${CONSOLE.agents}/:id`, 'operator', none, agentPage(pages)),
  ];
}

/** GET /console/agents: lists the agents that a search and filters find. */
function agentsPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All agents',
    async handle(call) {
      const { deps } = call;
      const [page, total] = await Promise.all([findAgents(deps, readQuery(call)), countAllAgents(deps)]);
      const agents = page.items.map(presentAgent);
      return showList(pages, call, 'agents', 'agents', MENUS, page, { agents, total });
    },
  });
}

/** GET /console/agents.csv: the same, all of it, as a table to download. */
const exportAgents = operation({
  caller: 'operator',
  summary: 'All agents as CSV',
  handle(call) {
    const { text } = call.deps.translators[call.caller.locale];
    const columns = COLUMNS.map((name) => text(`console.csv.${name}`));
    return csvFile('agents.csv', columns, csvRows(call, text));
  },
});

const COLUMNS = [
  'id',
  'name',
  'owner',
  'type',
  'status',
  'firstSeen',
  'network',
  'lastUsed',
  'lastUsedFrom',
] as const;

async function* csvRows(call: OperatorCall, text: (key: string) => string): AsyncGenerator<string[][]> {
  for await (const agents of allAgentsFound(call.deps, readQuery(call))) {
    yield agents.map((agent) => [
      agent.id,
      agent.name === undefined ? '' : displayName(agent.name),
      agent.owner?.mailbox ?? '',
      text(`console.filter.type.${agent.type}`),
      text(`status.${agent.status}`),
      toIso(agent.registeredAt),
      agent.network ?? '',
      agent.lastUse === undefined ? '' : toIso(agent.lastUse.at),
      agent.lastUse?.from ?? '',
    ]);
  }
}

/** GET /console/agents/:id: one agent with what an operator may know of it. */
function agentPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'One of them',
    async handle({ deps, caller, params }) {
      const found = await showFoundAgent(deps, params.id!);
      if (found === undefined) throw new Failure('notFound', 'There is no such agent.');
      const now = deps.clock();
      return showConsole(pages, caller, 'agents', 'agent', {
        agent: presentAgent(found.agent),
        keys: found.keys.map((key) => presentAgentKey(key, now)),
        sessionKeys: await listSessionKeysOf(deps, found.agent.id),
        grants: await presentGrants(deps, await listGrantsOfAgent(deps, found.agent.id)),
        budgets: found.budgets,
        events: found.events,
      });
    },
  });
}

function readQuery(call: Pick<OperatorCall, 'deps' | 'query'>): AgentsQuery {
  const { query } = call;
  return {
    search: readSearch(query),
    status: readOneOf(query, 'status', AGENT_STATUSES),
    type: readOneOf(query, 'type', AGENT_TYPES),
    since: readSince(call),
    before: readId(query, 'before'),
  };
}

/** Prepares an agent for a template: its name, which is unverified, as it is shown. */
export function presentAgent(agent: FoundAgent): FoundAgent {
  const { name, lastUse } = agent;
  return {
    ...agent,
    name: (name && displayName(name)) || undefined,
    lastUse: lastUse && { ...lastUse, from: lastUse.from?.replace(/^network /, '') },
  };
}
