import { z } from 'zod';
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
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { displayName } from '../../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { toIso } from '../../server/wire-times.ts';
import { presentAgentKey } from '../agents.ts';
import { checkedNames, formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { csvFile } from './csv.ts';
import { type Menu, presentList, readBefore, readOneOf, readSearch, readSince, TIME_MENU } from './lists.ts';
import { readAct, reasonField } from './reason.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of agents: the list, its export, one agent, and revoking some. */

const none = undefined;
const MENUS: readonly Menu[] = [
  { name: 'status', values: AGENT_STATUSES },
  { name: 'type', values: AGENT_TYPES },
  TIME_MENU,
];

/** How many agents are revoked at once: a page of the list. */
const REVOKED_MAX = 50;

/** The reason, and each agent that is to be revoked: `agent:agt_…`. */
const revokeForm = formSchema({ reason: reasonField }).catchall(z.string().max(64));

export function agentRows(pages: Pages): Row[] {
  return [
    row('GET', CONSOLE.agents, 'operator', none, agentsPage(pages)),
    row('GET', `${CONSOLE.agents}.csv`, 'operator', none, exportAgents(pages)),
    row('GET', `${CONSOLE.agents}/revoke`, 'operator', none, revokePage(pages)),
    row('POST', `${CONSOLE.agents}/revoke`, 'recentlyVerifiedOperator', none, revoke(pages)),
    row('GET', `${CONSOLE.agents}/:id`, 'operator', none, agentPage(pages)),
  ];
}

/** GET /console/agents: lists the agents that a search and filters find. */
function agentsPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All agents',
    async handle(call) {
      const { deps, caller, query } = call;
      const [found, total] = await Promise.all([findAgents(deps, readQuery(call)), countAllAgents(deps)]);
      const { list, problem } = presentList(CONSOLE.agents, query, MENUS, found);
      const agents = found.agents.map(presentAgent);
      return showConsole(
        pages,
        caller,
        'agents',
        'agents',
        { agents, total, list, problem },
        problem ? 400 : 200,
      );
    },
  });
}

/** GET /console/agents.csv: the same, all of it, as a table to download. */
function exportAgents({ translators }: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All agents as CSV',
    handle(call) {
      const { text } = translators[call.caller.locale];
      const columns = COLUMNS.map((name) => text(`console.csv.${name}`));
      return csvFile('agents.csv', columns, csvRows(call, text));
    },
  });
}

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
        budgets: found.budgets,
        events: found.events,
      });
    },
  });
}

/** GET /console/agents/revoke?id=…: asks whether to revoke some agents, and why. */
function revokePage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before agents end',
    handle(call) {
      const { caller, query } = call;
      const draft = caller.draft(`${CONSOLE.agents}/revoke`);
      const ids = draft === undefined ? query.getAll('id') : checkedNames(draft, 'agent');
      return showRevoke(pages, call, ids, draft?.reason);
    },
  });
}

/** POST /console/agents/revoke: revokes some agents. */
function revoke(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'End agents and their keys',
    form: revokeForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const ids = checkedNames(body, 'agent').slice(0, REVOKED_MAX);
      const act = readAct(call, body.reason);
      if ('key' in act) return showRevoke(pages, call, ids, body.reason, act);
      const revoked = await revokeAgents(deps, origin, act, ids);
      if (revoked.length === 0) throw new Failure('notFound', 'There are no such agents.');
      const [only] = revoked.length === 1 ? revoked : [];
      return only === undefined
        ? redirect(deps.config, CONSOLE.agents, caller.cookies, 'agentsRevoked')
        : redirect(deps.config, `${CONSOLE.agents}/${only}`, caller.cookies, 'agentRevoked');
    },
  });
}

async function showRevoke(
  pages: Pages,
  call: Pick<OperatorCall, 'deps' | 'caller'>,
  ids: readonly string[],
  reason: string | undefined,
  problem?: Problem,
) {
  const { deps, caller } = call;
  if (ids.length === 0) return redirect(deps.config, CONSOLE.agents, caller.cookies, 'nothingSelected');
  const found = await findAgentsById(deps, [...new Set(ids)].slice(0, REVOKED_MAX));
  if (found.length === 0) throw new Failure('notFound', 'There are no such agents.');
  const agents = found.filter(({ status }) => status !== 'revoked').map(presentAgent);
  if (agents.length === 0) return redirect(deps.config, CONSOLE.agents, caller.cookies, 'agentsRevoked');
  const values = { agents, reason, problem };
  return showConsole(pages, caller, 'agents', 'revoke-agents', values, problem === undefined ? 200 : 400);
}

function readQuery(call: Pick<OperatorCall, 'deps' | 'query'>): AgentsQuery {
  const { query } = call;
  return {
    search: readSearch(query),
    status: readOneOf(query, 'status', AGENT_STATUSES),
    type: readOneOf(query, 'type', AGENT_TYPES),
    since: readSince(call),
    before: readBefore(query),
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
