import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import {
  cutPage,
  type ListPage,
  type ListQuery,
  PAGE_LIMIT,
  readTimeMark,
  timeMark,
} from '../../lib/list-pages.ts';
import { providerOf } from '../../lib/principals.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { type AgentRow, findOwnedAgent, listOwnedPage } from '../../store/agents.ts';
import { type CredentialRow, listCredentialsOfAgents, listKeysPage } from '../../store/credentials.ts';
import { listEventsOf } from '../../store/events.ts';
import { type ClaimMode, listRegistrations, type RegistrationRow } from '../../store/registrations.ts';
import { endOfLife } from '../agents/agent-lifecycle.ts';
import { describeEvents } from '../audit/activity-text.ts';
import { isLive, type Key, toKey } from '../credentials/issue.ts';
import { type HostedStanding, hostedStandings } from '../hosts/host-agent-view.ts';

/** What a human sees of the agents that are theirs. */

export interface OwnedAgent {
  id: string;
  /** As the agent wrote it, unless its owner renamed it: then `isNamedByOwner`. */
  name: string | undefined;
  isNamedByOwner: boolean;
  mode: ClaimMode;
  /** The agent provider that vouches for it, by the name that the operator gave it. */
  provider: string | undefined;
  /** Epoch ms, all three. */
  registeredAt: number;
  ownedAt: number;
  revokedAt: number | undefined;
  /** When one under a host came to the end of the time that agents have there, epoch ms. */
  overAt: number | undefined;
  /** What its live keys may do, together; without any what it may be given. */
  scopes: string[];
  /** When and where it last got a token, or one of its keys was used; to the minute. */
  lastUse: { at: number; from: string } | undefined;
  /** Until when the merge can be undone (epoch ms); undefined where it cannot. */
  undoableUntil: number | undefined;
}

/** A merge can be undone for so long. */
const UNDO_MS = 7 * DAY_MS;

/** The agents of a human, newest first, also those that were revoked. */
export async function listOwnedAgents(
  deps: Deps,
  ownerId: string,
  query: ListQuery = {},
): Promise<ListPage<OwnedAgent>> {
  const mark = readTimeMark(query.before);
  const before = mark && { ownedAt: mark.at, id: mark.id };
  const overSince = deps.clock() - endOfLife(deps, 0);
  const rows = await listOwnedPage(deps.db, ownerId, query, before, overSince, PAGE_LIMIT);
  const { items, next } = cutPage(rows, (row) => timeMark(row.ownedAt!, row.id));
  return { items: await describe(deps, items, ownerId), next };
}

/**
 * One agent of a human with a page of its keys and of what it did lately, newest first.
 *
 * @throws Failure `notFound`, also for somebody else's
 */
export async function showOwnedAgent(
  deps: Deps,
  ownerId: string,
  id: string,
  before: { key?: string | undefined; event?: string | undefined } = {},
): Promise<{ agent: OwnedAgent; keys: ListPage<Key>; activity: ListPage<ActivityEntry> }> {
  const row = await findOwnedAgent(deps.db, ownerId, id);
  if (row === undefined) throw notYours();
  const [[agent], keys, events] = await Promise.all([
    describe(deps, [row], ownerId),
    listKeysPage(deps.db, id, before.key, PAGE_LIMIT),
    listEventsOf(deps.db, { agentId: id }, before.event, PAGE_LIMIT),
  ]);
  const keyPage = cutPage(keys, (key) => key.id);
  const eventPage = cutPage(events, (event) => event.id);
  return {
    agent: agent!,
    keys: { items: keyPage.items.map(toKey), next: keyPage.next },
    activity: { items: await describeEvents(deps, eventPage.items), next: eventPage.next },
  };
}

/** What an agent may be given: what claimed ones get, but for what its owner took. */
export function scopesOf(deps: Pick<Deps, 'config'>, agent: AgentRow): string[] {
  return restrictTo(deps.config.claimedScopes, agent.scope);
}

/** A page of agents, in as many statements as one. */
async function describe(deps: Deps, rows: readonly AgentRow[], ownerId: string): Promise<OwnedAgent[]> {
  const now = deps.clock();
  const ids = rows.map(({ id }) => id);
  const [registrations, credentials, hosted] = await Promise.all([
    listRegistrations(
      deps.db,
      rows.map(({ registrationId }) => registrationId),
    ),
    listCredentialsOfAgents(deps.db, ids, now),
    hostedStandings(deps, ids),
  ]);
  const byId = new Map(registrations.map((registration) => [registration.id, registration]));
  const held = Map.groupBy(credentials, ({ agentId }) => agentId);
  return rows.map((row) =>
    describeOne(deps, ownerId, now, {
      row,
      registration: byId.get(row.registrationId)!,
      credentials: held.get(row.id) ?? [],
      hosted: hosted.get(row.id),
    }),
  );
}

interface Found {
  row: AgentRow;
  registration: RegistrationRow;
  credentials: readonly CredentialRow[];
  hosted: HostedStanding | undefined;
}

function describeOne(
  deps: Deps,
  ownerId: string,
  now: number,
  { row, registration, credentials, hosted }: Found,
): OwnedAgent {
  const live = credentials.filter((key) => isLive(key, now)).map(toKey);
  // One that renews an identity, or signs for itself, has no key that would show what it may do.
  const scopes =
    hosted?.scopes ?? (live.length === 0 ? scopesOf(deps, row) : live.flatMap((key) => key.scopes));
  const uses = credentials.map(({ lastUsedAt: at, lastUsedFrom: from }) => ({ at, from }));
  const signed = { at: hosted?.seenAt ?? null, from: 'its own environment' };
  const last = [...uses, { at: row.seenAt, from: row.seenFrom }, signed].reduce((latest, use) =>
    (use.at ?? 0) > (latest.at ?? 0) ? use : latest,
  );
  return {
    id: row.id,
    name: row.name ?? undefined,
    // The registration of a host has the name of the host.
    isNamedByOwner: row.name !== (hosted ?? { name: registration.agentName }).name,
    mode: registration.mode!,
    provider: providerOf(deps.config, registration.principal),
    registeredAt: registration.createdAt,
    ownedAt: row.ownedAt!,
    revokedAt: row.revokedAt ?? undefined,
    overAt: hosted?.overAt,
    scopes: row.revokedAt === null && hosted?.overAt === undefined ? [...new Set(scopes)].sort() : [],
    lastUse: last.at === null ? undefined : { at: last.at, from: last.from ?? 'somewhere' },
    undoableUntil: registration.kind === 'host' ? undefined : undoableUntil(row, ownerId, now),
  };
}

/** Until when a merge can be undone, epoch ms; undefined where it cannot. */
export function undoableUntil(agent: AgentRow, ownerId: string, now: number): number | undefined {
  const until = (agent.ownedAt ?? 0) + UNDO_MS;
  return agent.accountId === ownerId && agent.revokedAt === null && until > now ? until : undefined;
}

export function notYours(): Failure {
  return new Failure('notFound', 'There is no such agent among yours.');
}
