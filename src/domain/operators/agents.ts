import type { Deps } from '../../deps.ts';
import type { Budget } from '../../errors.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { allPages, PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import {
  type AgentSearch,
  type FoundAgentRow,
  findAgentFound,
  findWindowEnd,
  listAgentsFound,
} from '../../store/agent-search.ts';
import { findAgent } from '../../store/agents.ts';
import {
  type CredentialRow,
  listAgentsWithKeys,
  listKeysPage,
  listLiveCredentialsOfAgents,
} from '../../store/credentials.ts';
import type { RequestOrigin } from '../../work.ts';
import { absoluteLifetimeEnd } from '../agents/agent-lifecycle.ts';
import { endAgent } from '../agents/end-agent.ts';
import { type LastUse, lastUseOf } from '../agents/last-use.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { type Key, toKey } from '../credentials/issue.ts';
import { readBudgets } from '../limits/rate-limiter.ts';
import { actOnEach } from './act-on-each.ts';
import { type AuditEntry, listEventsAbout } from './audit-entries.ts';
import { type FoundOwner, toFoundOwner } from './found-owner.ts';
import { type FoundPage, NOTHING_FOUND, readFoundPage } from './found-page.ts';
import { idBounds } from './id-bounds.ts';
import { readSearchText } from './search.ts';

/** All agents, as operators see them. */

export const AGENT_STATUSES = ['active', 'revoked', 'expired'] as const;
export const AGENT_TYPES = ['anonymous', 'merge', 'link'] as const;

/** A request for one page of agents. */
export interface AgentsQuery {
  /** As typed: see readSearchText(). */
  search: string;
  status: (typeof AGENT_STATUSES)[number] | undefined;
  type: (typeof AGENT_TYPES)[number] | undefined;
  /** Only agents that came at or after this time, epoch ms. */
  since: number | undefined;
  /** The `next` of the page before. */
  before: string | undefined;
}

/** An agent as an operator sees it; times in epoch ms. */
export interface FoundAgent {
  id: string;
  /** As the agent wrote it: unverified. */
  name: string | undefined;
  accountId: string;
  owner: FoundOwner | undefined;
  type: (typeof AGENT_TYPES)[number];
  status: 'active' | 'noLiveKey' | 'revoked' | 'expired';
  registeredAt: number;
  ownedAt: number | undefined;
  revokedAt: number | undefined;
  /** When it expires without an owner, or its absolute lifetime ends. */
  expiresAt: number | undefined;
  lastUse: LastUse | undefined;
  /** The coarse network that it registered from. */
  network: string | undefined;
}

/** Lists one page of the agents that a query finds, newest first. */
export async function findAgents(deps: Deps, query: AgentsQuery): Promise<FoundPage<FoundAgent>> {
  const search = toSearch(deps, query);
  if (search === undefined) return NOTHING_FOUND;
  const now = deps.clock();
  const times = { now, lifetimeStart: now - absoluteLifetimeEnd(deps, 0) };
  const page = await readFoundPage(
    PAGE_ROWS_MAX,
    (limit) => listAgentsFound(deps.db, search, query.before, times, limit),
    ({ id }) => id,
    () => findWindowEnd(deps.db, search, query.before),
  );
  return { ...page, items: await describe(deps, page.items, now) };
}

/** Iterates over the pages of all agents that a query finds. */
export async function* allAgentsFound(deps: Deps, query: AgentsQuery): AsyncGenerator<FoundAgent[]> {
  const pages = allPages(query.before, (before) => findAgents(deps, { ...query, before }));
  for await (const { items } of pages) yield items;
}

/** One agent, with its newest keys and events. */
export interface ShownAgent {
  agent: FoundAgent;
  keys: Key[];
  /** What it used of the limits that count by agent, in windows that are open. */
  budgets: Budget[];
  events: AuditEntry[];
}

const EVENTS_SHOWN = 20;

/** Shows one agent. @returns undefined if no agent has this id */
export async function showFoundAgent(deps: Deps, id: string): Promise<ShownAgent | undefined> {
  const row = await findAgentFound(deps.db, id);
  if (row === undefined) return undefined;
  const limits = [
    { name: 'claimMailPerAgent', key: row.registrationId },
    { name: 'tokensPerAgent', key: id },
  ] as const;
  const [[agent], keys, budgets, events] = await Promise.all([
    describe(deps, [row], deps.clock()),
    listKeysPage(deps.db, id, undefined, PAGE_ROWS_MAX),
    readBudgets(deps, limits),
    listEventsAbout(deps, { agentId: id }, EVENTS_SHOWN),
  ]);
  return { agent: agent!, keys: keys.map(toKey), budgets, events };
}

/** Finds agents by their ids, in that order; ids of no agent are left out. */
export async function findAgentsById(deps: Deps, ids: readonly string[]): Promise<FoundAgent[]> {
  const rows = await Promise.all(ids.map((id) => findAgentFound(deps.db, id)));
  return describe(
    deps,
    rows.filter((row) => row !== undefined),
    deps.clock(),
  );
}

/**
 * Revokes agents as an operator, all or none, with their keys, tokens and open claims, from the next introspection on.
 * Their owners are told. Those that are revoked already, and ids of no agent, change nothing.
 *
 * @returns the ids of the agents that there are
 */
export function revokeAgents(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  ids: readonly string[],
): Promise<string[]> {
  return actOnEach(deps, origin, ids, async (work, id) => {
    const agent = await findAgent(work.tx, id);
    if (agent === undefined) return false;
    if (agent.revokedAt === null) {
      await endAgent(work, agent);
      await recordOperatorEvent(work, act, { kind: 'operator.agent_revoked', subject: id });
    }
    return true;
  });
}

/** @returns undefined if the text finds nothing whatever there is */
function toSearch(
  { config }: Pick<Deps, 'config'>,
  { search, status, type, since }: AgentsQuery,
): AgentSearch | undefined {
  const fromId = since === undefined ? undefined : firstIdAt('agt', since);
  const rest = { status, type, fromId };
  const text = readSearchText(search, config.keys.accepted);
  switch (text.by) {
    case 'nothing':
      return { range: { by: 'all' }, ...rest };
    case 'mailbox':
      return { range: text, ...rest };
    case 'key':
      return { range: { by: 'keyPrefix', prefix: text.prefix }, ...rest };
    case 'network':
      return { range: { by: 'all' }, networkStart: text.start, ...rest };
    case 'issuer':
      return { range: { by: 'all' }, issuer: text.issuer, ...rest };
    case 'name':
      return { range: { by: 'all' }, nameStart: text.start, ...rest };
    case 'id':
      if (text.prefix === 'usr') return { range: { by: 'account', accountId: text.start }, ...rest };
      if (text.prefix !== 'agt') return undefined;
      return { range: { by: 'all' }, idStart: text.start, ...rest, ...idBounds(text.start, fromId) };
    case 'secret':
      return undefined;
  }
}

async function describe(deps: Deps, rows: readonly FoundAgentRow[], now: number): Promise<FoundAgent[]> {
  const ids = rows.map(({ id }) => id);
  const [live, withKeys] = await Promise.all([
    listLiveCredentialsOfAgents(deps.db, ids, now),
    listAgentsWithKeys(deps.db, ids),
  ]);
  const byAgent = Map.groupBy(live, ({ agentId }) => agentId);
  return rows.map((row) => toFoundAgent(deps, row, byAgent.get(row.id) ?? [], withKeys.has(row.id), now));
}

function toFoundAgent(
  deps: Deps,
  row: FoundAgentRow,
  live: readonly CredentialRow[],
  hadKey: boolean,
  now: number,
): FoundAgent {
  const expiresAt =
    row.hostedSince !== null
      ? absoluteLifetimeEnd(deps, row.hostedSince)
      : row.ownedAt === null
        ? (row.expiresAt ?? undefined)
        : undefined;
  const hasLiveKey = live.some(({ kind }) => kind === 'key');
  return {
    id: row.id,
    name: row.name ?? undefined,
    accountId: row.accountId,
    owner: toFoundOwner(row),
    type: row.ownedAt === null ? 'anonymous' : row.accountKind === 'human' ? 'merge' : 'link',
    status:
      row.revokedAt !== null
        ? 'revoked'
        : expiresAt !== undefined && expiresAt <= now
          ? 'expired'
          : // An agent that renews an identity, or signs its own requests, never had a key.
            hadKey && !hasLiveKey
            ? 'noLiveKey'
            : 'active',
    registeredAt: row.createdAt,
    ownedAt: row.ownedAt ?? undefined,
    revokedAt: row.revokedAt ?? undefined,
    expiresAt,
    lastUse: lastUseOf(row, live),
    network: row.origin ?? undefined,
  };
}
