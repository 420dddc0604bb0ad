import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type ListMark, type ListPage, mapPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { providerOf } from '../../lib/principals.ts';
import { restrictTo } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import type { AgentRow } from '../../store/agents.ts';
import {
  type CredentialRow,
  listCredentialsEndedWithAgents,
  listKeysPage,
  listLiveCredentialsOfAgents,
} from '../../store/credentials.ts';
import { listEventsOf } from '../../store/events.ts';
import { findOwnedAgent } from '../../store/owned-agents.ts';
import { type ClaimMode, listRegistrations, type RegistrationRow } from '../../store/registrations.ts';
import { type LastUse, lastUseOf } from '../agents/last-use.ts';
import { describeEvents } from '../audit/describe-events.ts';
import { type Key, toKey } from '../credentials/issue.ts';
import { type HostedAgentSummary, listHostedAgentSummaries } from '../hosts/host-agent-view.ts';

/** Agents as their owner sees them. */

/** One agent as its owner sees it. */
export interface OwnedAgent {
  id: string;
  /** As the agent wrote it, unless its owner renamed it: then `isNamedByOwner`. */
  name: string | undefined;
  isNamedByOwner: boolean;
  mode: ClaimMode;
  /** The agent provider that vouches for it, by the name that the operator configured. */
  provider: string | undefined;
  /** Epoch ms, all three. */
  registeredAt: number;
  ownedAt: number;
  revokedAt: number | undefined;
  /** When the absolute lifetime of an agent under a host elapsed, epoch ms; undefined otherwise. */
  overAt: number | undefined;
  /**
   * The scopes of its live keys together; without a live key, those that it may be issued. Of an agent that ended, those
   * that it had until then.
   */
  scopes: string[];
  /**
   * When and where it last obtained a token, used a key or signed a request; epoch ms, to the minute. `from` is
   * undefined where it signed a request in its own environment.
   */
  lastUse: LastUse | undefined;
  /** Until when the merge can be undone, epoch ms; undefined if it cannot. */
  undoableUntil: number | undefined;
}

/** How long a merge can be undone. */
export const UNDO_MS = 7 * DAY_MS;

/**
 * Shows one agent of a human, with a page of its keys and a page of its activity, newest first.
 *
 * @param at where these pages begin or end
 * @throws Failure `notFound`, also for an agent of another owner
 */
export async function showOwnedAgent(
  deps: Deps,
  ownerId: string,
  id: string,
  at: { keys?: ListMark | undefined; activity?: ListMark | undefined } = {},
): Promise<{ agent: OwnedAgent; keys: ListPage<Key>; activity: ListPage<ActivityEntry> }> {
  const row = await findOwnedAgent(deps.db, ownerId, id);
  if (row === undefined) throw agentNotFound();
  const [[agent], keys, events] = await Promise.all([
    toOwnedAgents(deps, [row], ownerId),
    readPage(
      parseIdMark(at.keys),
      undefined,
      (place, limit) => listKeysPage(deps.db, id, place, limit),
      (key) => key.id,
    ),
    readPage(
      parseIdMark(at.activity),
      undefined,
      (place, limit) => listEventsOf(deps.db, { agentId: id }, place, limit),
      (event) => event.id,
    ),
  ]);
  return {
    agent: agent!,
    keys: mapPage(keys, (rows) => rows.map(toKey)),
    activity: { ...events, items: await describeEvents(deps, events.items) },
  };
}

/** Returns the scopes that an agent may be issued: the claimed scopes, less those that its owner removed. */
export function issuableScopes(deps: Pick<Deps, 'config'>, agent: AgentRow): string[] {
  return restrictTo(deps.config.claimedScopes, agent.scope);
}

/** Describes a page of agents, with as many statements as one agent takes. */
export async function toOwnedAgents(
  deps: Deps,
  rows: readonly AgentRow[],
  ownerId: string,
): Promise<OwnedAgent[]> {
  const now = deps.clock();
  const ids = rows.map(({ id }) => id);
  const revokedIds = rows.filter(({ revokedAt }) => revokedAt !== null).map(({ id }) => id);
  const [registrations, live, ended, hosted] = await Promise.all([
    listRegistrations(
      deps.db,
      rows.map(({ registrationId }) => registrationId),
    ),
    listLiveCredentialsOfAgents(deps.db, ids, now),
    revokedIds.length === 0 ? [] : listCredentialsEndedWithAgents(deps.db, revokedIds),
    listHostedAgentSummaries(deps, ids),
  ]);
  const byId = new Map(registrations.map((registration) => [registration.id, registration]));
  const credentialsByAgent = Map.groupBy([...live, ...ended], ({ agentId }) => agentId);
  return rows.map((row) =>
    toOwnedAgent(deps, ownerId, now, {
      row,
      registration: byId.get(row.registrationId)!,
      credentials: credentialsByAgent.get(row.id) ?? [],
      hosted: hosted.get(row.id),
    }),
  );
}

interface AgentRecords {
  row: AgentRow;
  registration: RegistrationRow;
  /** Its active keys and tokens; of a revoked agent, those that were active until then. */
  credentials: readonly CredentialRow[];
  hosted: HostedAgentSummary | undefined;
}

function toOwnedAgent(
  deps: Deps,
  ownerId: string,
  now: number,
  { row, registration, credentials, hosted }: AgentRecords,
): OwnedAgent {
  const keys = credentials.map(toKey);
  // An agent that renews an identity, or signs its own requests, has no key that shows its scopes.
  const scopes =
    hosted?.scopes ?? (keys.length === 0 ? issuableScopes(deps, row) : keys.flatMap((key) => key.scopes));
  return {
    id: row.id,
    name: row.name ?? undefined,
    // An agent under a host has a name of its own: its registration has the host's name.
    isNamedByOwner: row.name !== (hosted ?? { name: registration.agentName }).name,
    mode: registration.mode!,
    provider: providerOf(deps.config, registration.principal),
    registeredAt: registration.createdAt,
    ownedAt: row.ownedAt!,
    revokedAt: row.revokedAt ?? undefined,
    overAt: hosted?.overAt,
    scopes: [...new Set(scopes)].sort(),
    lastUse: lastUseOf(row, keys),
    undoableUntil: registration.kind === 'host' ? undefined : undoableUntil(row, ownerId, now),
  };
}

/** Returns until when a merge can be undone, epoch ms; undefined if it cannot. */
export function undoableUntil(agent: AgentRow, ownerId: string, now: number): number | undefined {
  const until = (agent.ownedAt ?? 0) + UNDO_MS;
  return agent.accountId === ownerId && agent.revokedAt === null && until > now ? until : undefined;
}

/** Creates the failure for an agent that the human does not own. */
export function agentNotFound(): Failure {
  return new Failure('notFound', 'There is no such agent among yours.');
}
