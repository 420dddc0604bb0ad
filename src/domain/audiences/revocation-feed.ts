import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { incrementCounter } from '../../store/counters.ts';
import {
  type CredentialRow,
  findCredential,
  listCredentials,
  listPersonalCredentials,
} from '../../store/credentials.ts';
import {
  type EventRow,
  findEventPosition,
  findLastPositioned,
  hasUnpositioned,
  listFollowed,
  listPositioned,
  updateEventPositions,
} from '../../store/events.ts';
import type { ResourceServer } from './resource-servers.ts';
/**
 * What resource servers are told of, so that they need not ask again: keys that ended or changed, and agents that moved into
 * another account. It is read from the audit, over which all replicas agree; there is nothing else to keep in step with it.
 */
export interface RevocationEvent {
  /** The id of the audit line: events are followed by it. */
  id: string;
  /** Epoch ms. */
  at: number;
  /** `revoked`: the keys are over. `changed`: ask again. `merged`: also, the agent's data belongs to another account now. */
  type: 'revoked' | 'changed' | 'merged';
  /** Which keys, by id and by the SHA-256 of their secret. */
  keys: { id: string; hash: Buffer }[];
  agentId: string | undefined;
  /** Of a merge: the account that the agent had, and the one it is in now. */
  merge: { from: string; to: string } | undefined;
}

const PAGE = 500;

/** Where an account became part of another: of an agent, or of a host with all its agents. */
const MERGES = new Set(['agent.merged', 'host.linked']);
const REVOKED = new Set(['key.revoked', 'key.retired', 'agent.revoked', 'account.deleted']);

/**
 * What happened that concerns a resource server, for one that asks now and then. Each event once, also one whose transaction committed
 * after others with a later id.
 *
 * @param after the `last` of an earlier answer (exclusive); undefined: begin now
 * @returns in the order in which they were first seen; `last`: where to go on
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
  const rows = await listBehind(deps, after);
  const events: RevocationEvent[] = [];
  for (const row of rows) {
    const event = await concerning(deps, row, server);
    if (event !== undefined) events.push(event);
  }
  return { events, last: rows.at(-1)?.id ?? after };
}

/** Behind what was no event, or is one no more, some may come twice. */
async function listBehind(deps: Pick<Deps, 'db'>, after: string): Promise<EventRow[]> {
  const position = await findEventPosition(deps.db, after);
  if (position !== undefined) return listPositioned(deps.db, { position, id: after }, PAGE);
  return listFollowed(deps.db, { after: overlapped(after) }, PAGE);
}

/** Numbers what nobody has, in the order in which it is seen. Also done now and then, so that whoever asks finds little. */
export async function numberNewEvents({ db, clock }: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  while (await hasUnpositioned(db)) {
    await db.tx(async (tx) => {
      // Its row is locked until the transaction ends: nobody else numbers events.
      await incrementCounter(tx, 'event-numbers', Number.MAX_SAFE_INTEGER, 60_000, clock());
      await updateEventPositions(tx, PAGE);
    }, 'brief');
  }
}

export async function* rowsFrom(deps: Pick<Deps, 'db'>, from: string): AsyncGenerator<EventRow> {
  let page: { from: string } | { after: string } = { from };
  for (;;) {
    const rows = await listFollowed(deps.db, page, PAGE);
    yield* rows;
    if (rows.length < PAGE) return;
    page = { after: rows.at(-1)!.id };
  }
}

/** What an audit line tells one resource server, or undefined. */
export async function concerning(
  deps: Pick<Deps, 'db'>,
  row: EventRow,
  server: ResourceServer,
): Promise<RevocationEvent | undefined> {
  const event = await expand(deps, row);
  return event && narrowTo(event, server);
}

export async function expand(deps: Pick<Deps, 'db'>, row: EventRow): Promise<Expanded | undefined> {
  const details = row.details === null ? {} : (JSON.parse(row.details) as { from?: string });
  const isMerge = MERGES.has(row.kind) && details.from !== undefined && row.accountId !== null;
  const keys = await keysOf(deps, row);
  if (keys.length === 0 && !isMerge) return undefined;
  return {
    id: row.id,
    at: row.at,
    type: isMerge ? 'merged' : REVOKED.has(row.kind) ? 'revoked' : 'changed',
    keys,
    agentId: row.agentId ?? undefined,
    merge: isMerge ? { from: details.from!, to: row.accountId! } : undefined,
  };
}

interface Expanded extends Omit<RevocationEvent, 'keys'> {
  keys: CredentialRow[];
}

/** The keys that an audit line is about: rather one too many, which costs a question, than one too few. */
async function keysOf(deps: Pick<Deps, 'db'>, row: EventRow): Promise<CredentialRow[]> {
  if (row.kind === 'key.revoked') {
    const key = row.subject === null ? undefined : await findCredential(deps.db, row.subject);
    return key === undefined ? [] : [key];
  }
  if (row.kind === 'account.deleted') return listPersonalCredentials(deps.db, row.accountId ?? '');
  return row.agentId === null ? [] : listCredentials(deps.db, row.agentId);
}

/** What of an event concerns a resource server: keys that are not for others only. */
export function narrowTo(event: Expanded, server: ResourceServer): RevocationEvent | undefined {
  const keys = event.keys
    .filter(({ resources }) => resources === null || resources.split(' ').includes(server.url))
    .map(({ id, hash }) => ({ id, hash: Buffer.from(hash) }));
  return keys.length === 0 && event.merge === undefined ? undefined : { ...event, keys };
}

/** One that follows: is told each event once, as it comes; and that it is over, when it is. */
export interface Follower {
  tell(event: RevocationEvent): void;
  end(): void;
}

/**
 * Follows what concerns a resource server, from an id on, or from now.
 *
 * @returns what ends it
 * @throws Failure `limited` where too many follow for the same resource server already
 */
export type Follow = (
  server: ResourceServer,
  after: string | undefined,
  follower: Follower,
) => Promise<() => void>;

/** Transactions commit out of the order of their ids by as much as one lasts, so that far is looked back again. */
export const OVERLAP_MS = 15_000;

/** The id from which on what may have been committed after this one is seen, too. */
export function overlapped(id: string): string {
  return firstIdAt('evt', Number.parseInt(id.slice('evt_'.length, 'evt_'.length + 9), 36) - OVERLAP_MS);
}
