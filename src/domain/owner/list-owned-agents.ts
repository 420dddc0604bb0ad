import type { Deps } from '../../deps.ts';
import {
  formatNumberMark,
  formatTextMark,
  type ListPage,
  type ListPlace,
  type ListQuery,
  parseNumberMark,
  parseTextMark,
  readPage,
} from '../../lib/list-pages.ts';
import {
  countOwned,
  listOwnedPage,
  type OwnedCounts,
  type OwnedFilter,
  type OwnedOrder,
  type OwnedState,
} from '../../store/owned-agents.ts';
import { absoluteLifetimeEnd } from '../agents/agent-lifecycle.ts';
import { type OwnedAgent, toOwnedAgents } from './owned-agent-view.ts';

/** The list of a human's agents. */

/** What it can be narrowed to. */
export const AGENT_STATES: readonly OwnedState[] = ['active', 'unused', 'revoked'];

/** How it can be sorted, beside the default, used last first; `-`: from Z to A. */
export const AGENT_SORTS = ['used', 'name', '-name'] as const;
export type AgentSort = (typeof AGENT_SORTS)[number];

/** A request for a page of a human's agents. */
export type AgentListQuery = ListQuery<OwnedState, AgentSort>;

/** Lists a page of the agents of a human, including revoked ones. */
export async function listOwnedAgents(
  deps: Deps,
  ownerId: string,
  query: AgentListQuery = {},
): Promise<ListPage<OwnedAgent>> {
  const { filter, order, place } = readQuery(deps, query);
  const page = await readPage(
    place,
    query.rows,
    (beside, limit) => listOwnedPage(deps.db, ownerId, filter, order, beside, limit),
    (row) =>
      order.by === 'name' ? formatTextMark(row.sortName, row.id) : formatNumberMark(row.seenAt ?? 0, row.id),
  );
  return { ...page, items: await toOwnedAgents(deps, page.items, ownerId) };
}

/** Counts the agents of a human, those that a list shows and those before its page. */
export function countOwnedAgents(deps: Deps, ownerId: string, query: AgentListQuery): Promise<OwnedCounts> {
  const { filter, order, place } = readQuery(deps, query);
  return countOwned(deps.db, ownerId, filter, order, place);
}

function readQuery(
  deps: Deps,
  { search, state, sort, at }: AgentListQuery,
): { filter: OwnedFilter; order: OwnedOrder; place: ListPlace | undefined } {
  const lifetimeStart = deps.clock() - absoluteLifetimeEnd(deps, 0);
  const isByName = sort === 'name' || sort === '-name';
  return {
    filter: { search, state, lifetimeStart },
    order: { by: isByName ? 'name' : 'used', isDescending: sort === undefined || sort === '-name' },
    place: isByName ? parseTextMark(at) : parseNumberMark(at),
  };
}
