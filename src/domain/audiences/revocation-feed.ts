import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { listTokensOfOAuthClient, listTokensOfOAuthGrant } from '../../store/app-tokens.ts';
import { incrementCounter } from '../../store/counters.ts';
import { type CredentialRow, findCredential, listCredentials } from '../../store/credentials.ts';
import {
  type EventRow,
  findEventPosition,
  findLastPositioned,
  hasUnpositionedEvents,
  listFeedEvents,
  listPositioned,
  updateEventPositions,
} from '../../store/events.ts';
import { findPermissionGrant, listTokensOfPermissionGrant } from '../../store/permission-grants.ts';
import { listPersonalCredentials } from '../../store/personal-credentials.ts';
import type { ResourceServer } from './resource-servers.ts';
import {
  isWorkspaceEvent,
  readWorkspaceEvent,
  type WorkspaceEventType,
  withPlaces,
} from './workspace-events.ts';

/**
 * An event of the revocation feed. It tells a resource server which cached answers to drop: keys that were revoked or
 * changed, and agents that moved to another account. Events come from the audit, which all replicas share, so that no
 * second log must be kept in step with it (docs/adr/0009-resource-servers.md).
 */
export interface RevocationEvent {
  /** The id of the audit event. A resource server continues after it. */
  id: string;
  /** Epoch ms. */
  at: number;
  /**
   * `revoked`: the keys do not work any more. `changed`: introspect them again. `merged`: also, the agent's data
   * belongs to another account now. Those of workspaces: all that is known of what credentials may do there is out of date.
   */
  type: 'revoked' | 'changed' | 'merged' | WorkspaceEventType;
  /** The affected keys and tokens, by id and by the SHA-256 of their secret. */
  keys: { id: string; hash: Buffer }[];
  agentId: string | undefined;
  /** Of an event in a workspace: which one, whom of its members it is about, and whether more keys are affected than are told. */
  workspace: { id: string; memberId: string | undefined; hasMoreKeys: boolean } | undefined;
  /** Of a merge: the earlier account of the agent or host, and the account that its data belongs to now. */
  merge: { from: string; to: string } | undefined;
}

const PAGE_SIZE = 500;

/** Kinds of events that merge the account of an agent, or of a host with all its agents, into another account. */
const MERGES = new Set(['agent.merged', 'host.linked']);

/** Kinds of events after which the keys do not work any more. */
const REVOKED = new Set([
  'key.revoked',
  'key.retired',
  'agent.revoked',
  'account.deleted',
  'app.narrowed',
  'app.revoked',
  'client.removed',
  'client.suspended',
]);

/**
 * Reads the events that concern a resource server that polls. Each event is returned once, even if its transaction
 * committed after others with later ids.
 *
 * @param after the `last` of an earlier answer (exclusive); undefined: return no events, only where to start
 * @returns events in the order in which they were numbered; `last`: the `after` of the next call
 */
export async function readRevocationFeed(
  deps: Pick<Deps, 'db' | 'clock'>,
  server: ResourceServer,
  after: string | undefined,
): Promise<{ events: RevocationEvent[]; last: string }> {
  await numberNewEvents(deps);
  if (after === undefined) {
    const newest = await findLastPositioned(deps.db);
    return { events: [], last: newest?.id ?? firstIdAt('evt', deps.clock()) };
  }
  const rows = await listAfter(deps, after);
  const events: RevocationEvent[] = [];
  for (const row of rows) {
    const event = await toEventForServer(deps, row, server);
    if (event !== undefined) events.push(event);
  }
  return { events, last: rows.at(-1)?.id ?? after };
}

/** Some events may be repeated after an id that belongs to no numbered event, such as one that retention removed. */
async function listAfter(deps: Pick<Deps, 'db'>, after: string): Promise<EventRow[]> {
  const position = await findEventPosition(deps.db, after);
  if (position !== undefined) return listPositioned(deps.db, { position, id: after }, PAGE_SIZE);
  return listFeedEvents(deps.db, { after: withOverlap(after) }, PAGE_SIZE);
}

/**
 * Numbers the events that have no number yet, in the order in which they become visible. The scheduler calls it too, so
 * that a poll finds few of them.
 */
export async function numberNewEvents({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  while (await hasUnpositionedEvents(db)) {
    await db.tx(async (tx) => {
      // This locks the row of the counter until the transaction ends, so that no other one numbers events.
      await incrementCounter(tx, 'event-numbers', Number.MAX_SAFE_INTEGER, 60_000, clock());
      await updateEventPositions(tx, PAGE_SIZE);
    }, 'brief');
  }
}

/** Reads the audit events that the feed is made of, from an id on (inclusive), oldest first. */
export async function* streamFollowedEvents(deps: Pick<Deps, 'db'>, from: string): AsyncGenerator<EventRow> {
  let page: { from: string } | { after: string } = { from };
  for (;;) {
    const rows = await listFeedEvents(deps.db, page, PAGE_SIZE);
    yield* rows;
    if (rows.length < PAGE_SIZE) return;
    page = { after: rows.at(-1)!.id };
  }
}

/** Converts an audit event for one resource server. Returns undefined if it does not concern it. */
export async function toEventForServer(
  deps: Pick<Deps, 'db'>,
  row: EventRow,
  server: ResourceServer,
): Promise<RevocationEvent | undefined> {
  const event = await addAffectedKeys(deps, row);
  return event && narrowToServer(event, server);
}

/** Finds the keys that an audit event affects. Returns undefined if there are none and it is no merge. */
export async function addAffectedKeys(
  deps: Pick<Deps, 'db'>,
  row: EventRow,
): Promise<ExpandedEvent | undefined> {
  if (row.workspaceId !== null && isWorkspaceEvent(row.kind))
    return describeWorkspaceEvent(deps, row, row.workspaceId);
  const details = row.details === null ? {} : (JSON.parse(row.details) as { from?: string });
  const isMerge = MERGES.has(row.kind) && details.from !== undefined && row.accountId !== null;
  const keys = await findAffectedKeys(deps, row);
  if (keys.length === 0 && !isMerge) return undefined;
  return {
    id: row.id,
    at: row.at,
    type: isMerge ? 'merged' : REVOKED.has(row.kind) ? 'revoked' : 'changed',
    keys,
    agentId: row.agentId ?? undefined,
    merge: isMerge ? { from: details.from!, to: row.accountId! } : undefined,
    workspace: undefined,
    isFor: undefined,
  };
}

async function describeWorkspaceEvent(
  { db }: Pick<Deps, 'db'>,
  row: EventRow,
  workspaceId: string,
): Promise<ExpandedEvent> {
  const { type, keys, hasMoreKeys, isFor } = await readWorkspaceEvent(db, row, workspaceId);
  const memberId = type === 'workspace_changed' ? (row.accountId ?? undefined) : undefined;
  const workspace = { id: workspaceId, memberId, hasMoreKeys };
  return { id: row.id, at: row.at, type, keys, agentId: undefined, merge: undefined, workspace, isFor };
}

/** An event before it is narrowed to one resource server. */
interface ExpandedEvent extends Omit<RevocationEvent, 'keys'> {
  keys: Pick<CredentialRow, 'id' | 'hash' | 'resources'>[];
  /** Of an event in a workspace: whether a resource server is told of it. */
  isFor: ((server: ResourceServer) => boolean) | undefined;
}

/** Prefers a key too many, which costs an introspection, to one too few, which leaves a revoked key in a cache. */
async function findAffectedKeys(deps: Pick<Deps, 'db'>, row: EventRow): Promise<ExpandedEvent['keys']> {
  if (row.kind === 'key.revoked') {
    const key = row.subject === null ? undefined : await findCredential(deps.db, row.subject);
    return withPlaces(deps.db, key === undefined ? [] : [key]);
  }
  if (row.kind === 'app.narrowed' || row.kind === 'app.revoked') {
    return withPlaces(deps.db, await listTokensOfOAuthGrant(deps.db, row.subject ?? ''));
  }
  if (row.kind === 'client.removed' || row.kind === 'client.suspended') {
    return listTokensOfOAuthClient(deps.db, row.subject ?? '');
  }
  if (row.kind === 'account.deleted') {
    return withPlaces(deps.db, await listPersonalCredentials(deps.db, row.accountId ?? ''));
  }
  if (row.kind === 'grant.revoked') {
    const grant = row.subject === null ? undefined : await findPermissionGrant(deps.db, row.subject);
    return grant === undefined ? [] : withPlaces(deps.db, await listTokensOfPermissionGrant(deps.db, grant));
  }
  return row.agentId === null ? [] : withPlaces(deps.db, await listCredentials(deps.db, row.agentId));
}

/**
 * Narrows an event to the keys that work at a resource server. Returns undefined if none is left and it is no merge, and for
 * an event in a workspace that the resource server is not told of.
 */
export function narrowToServer(event: ExpandedEvent, server: ResourceServer): RevocationEvent | undefined {
  const { isFor, ...told } = event;
  if (isFor !== undefined && !isFor(server)) return undefined;
  const found = event.keys.filter(
    ({ resources }) => resources === null || resources.split(' ').includes(server.url),
  );
  const keys = [...new Map(found.map(({ id, hash }) => [id, { id, hash: Buffer.from(hash) }])).values()];
  const concerns = keys.length > 0 || event.merge !== undefined || event.workspace !== undefined;
  return concerns ? { ...told, keys } : undefined;
}

/** A connection of a resource server that follows the feed. */
export interface Follower {
  /** Receives each event as it occurs. Events around the start of following may be repeated. */
  notify(event: RevocationEvent): void;
  /** Called once, when following ends for whatever reason. */
  end(): void;
}

/**
 * Follows the events that concern a resource server.
 *
 * @param after the id of an event; undefined: follow from now on
 * @returns a function that stops following
 * @throws Failure `limited` if too many connections follow for the same resource server; `unavailable` during shutdown
 */
export type Follow = (
  server: ResourceServer,
  after: string | undefined,
  follower: Follower,
) => Promise<() => void>;

/** How far to read back: a transaction can commit after others with later ids, by at most its own duration. */
export const OVERLAP_MS = 15_000;

/** Returns the id from which to read so that no event is missed that committed after the event with this id. */
export function withOverlap(id: string): string {
  return firstIdAt('evt', Number.parseInt(id.slice('evt_'.length, 'evt_'.length + 9), 36) - OVERLAP_MS);
}
