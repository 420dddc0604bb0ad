import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { allPages, PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import { findAccountFoundByMailbox } from '../../store/account-search.ts';
import {
  type EventRange,
  type EventSearch,
  findEvent,
  findEventWindowEnd,
  type IdRange,
  isFrequent,
  listEventsFound,
} from '../../store/event-search.ts';
import type { EventRow } from '../../store/events.ts';
import { EVENT_KINDS } from '../audit/audit-log.ts';
import { type AuditEntry, toAuditEntries } from './audit-entries.ts';
import { type FoundPage, NOTHING_FOUND, readFoundPage } from './found-page.ts';
import { readSearchText } from './search.ts';

/** The audit log, searched by time, who, what, on what, network and request. */

/** A request for one page of the audit log. */
export interface AuditQuery {
  /**
   * What to find, in words that each narrow it: the id of an account, agent, key, workspace or other thing, a mailbox, a network, a
   * request id, or a kind.
   */
  search: string;
  kind: string | undefined;
  /** Only events from this time on, and before that one, epoch ms. */
  since: number | undefined;
  until: number | undefined;
  /** The `next` of the page before. */
  before: string | undefined;
}

/** Lists one page of the events that a query finds, as operators see them. */
export async function findAuditEntries(
  deps: Pick<Deps, 'db'>,
  query: AuditQuery,
): Promise<FoundPage<AuditEntry>> {
  const page = await findAuditEvents(deps, query, PAGE_ROWS_MAX);
  return { ...page, items: await toAuditEntries(deps, page.items) };
}

/** Shows one event. @returns undefined if none has this id */
export async function showAuditEntry(deps: Pick<Deps, 'db'>, id: string): Promise<AuditEntry | undefined> {
  const row = await findEvent(deps.db, id);
  return row === undefined ? undefined : (await toAuditEntries(deps, [row]))[0];
}

const EXPORT_ROWS = 1000;

/** Iterates over all events that a query finds, some at a time, newest first, as operators see them. */
export async function* allAuditEntries(
  deps: Pick<Deps, 'db'>,
  query: AuditQuery,
): AsyncGenerator<AuditEntry[]> {
  const pages = allPages(query.before, (before) => findAuditEvents(deps, { ...query, before }, EXPORT_ROWS));
  for await (const { items } of pages) yield await toAuditEntries(deps, items);
}

async function findAuditEvents(
  deps: Pick<Deps, 'db'>,
  query: AuditQuery,
  limit: number,
): Promise<FoundPage<EventRow>> {
  const search = await toSearch(deps, query);
  if (search === undefined) return NOTHING_FOUND;
  const before = query.before ?? '~';
  return readFoundPage(
    limit,
    (rows) => listEventsFound(deps.db, search, before, rows),
    ({ id }) => id,
    () => findEventWindowEnd(deps.db, search, before),
  );
}

/** How long a request can take: its events come so much after its id, and clocks differ a little. */
const REQUEST_MS = 60_000;
const CLOCKS_APART_MS = 10_000;

/** @returns undefined if the query finds nothing whatever there is */
async function toSearch({ db }: Pick<Deps, 'db'>, query: AuditQuery): Promise<EventSearch | undefined> {
  const { since, until } = query;
  let fromId = since === undefined ? 'evt_' : firstIdAt('evt', since);
  let toId = until === undefined ? '~' : firstIdAt('evt', until);
  let { kind } = query;
  const ids: string[] = [];
  let networkStart: string | undefined;
  let requestId: string | undefined;
  for (const word of query.search.split(/\s+/).filter((each) => each !== '')) {
    const text = readSearchText(word);
    if (/^req_\w{9,64}$/.test(word)) {
      requestId = word;
      const at = timeOf(word);
      fromId = later(fromId, firstIdAt('evt', at - CLOCKS_APART_MS));
      toId = earlier(toId, firstIdAt('evt', at + REQUEST_MS));
    } else if (EVENT_KINDS.some((each) => each === word)) {
      if (kind !== undefined && kind !== word) return undefined;
      kind = word;
    } else if (text.by === 'mailbox') {
      const account = await findAccountFoundByMailbox(db, text.mailbox);
      if (account === undefined) return undefined;
      ids.push(account.id);
    } else if (text.by === 'network') networkStart = text.start;
    else if (/^[a-z]{2,4}_\w{1,64}$/.test(word)) ids.push(word);
    else return undefined;
  }
  const narrowed = { fromId, toId, kind, networkStart, requestId };
  const [first, ...others] = ids;
  // The events of one request are close together: that is narrower than any other range.
  if (requestId !== undefined) return { range: { by: 'all' }, ids, ...narrowed };
  if (first !== undefined) return { range: rangeOf(first), ids: others, ...narrowed };
  const hasIndex = kind !== undefined && !isFrequent(kind);
  return { range: hasIndex ? { by: 'kind', kind: kind! } : { by: 'all' }, ids, ...narrowed };
}

function rangeOf(id: string): EventRange {
  const born = bornWithin(id);
  if (id.startsWith('usr_')) return { by: 'account', id, born };
  if (id.startsWith('wsp_')) return { by: 'workspace', id };
  return id.startsWith('agt_') ? { by: 'agent', id, born } : { by: 'subject', id, born };
}

/** What is created has an id of the same moment as the event that records it, but for ids of other forms. */
function bornWithin(id: string): IdRange {
  const at = timeOf(id);
  if (Number.isNaN(at)) return { fromId: '~', toId: '' };
  return { fromId: firstIdAt('evt', at - 1000), toId: firstIdAt('evt', at + 1000) };
}

/** Returns when an id was made, epoch ms; NaN for ids of other forms. */
function timeOf(id: string): number {
  const stamp = /^[a-z]+_([0-9a-z]{9})/.exec(id)?.[1];
  return stamp === undefined ? Number.NaN : Number.parseInt(stamp, 36);
}

const later = (one: string, other: string) => (one > other ? one : other);
const earlier = (one: string, other: string) => (one < other ? one : other);
