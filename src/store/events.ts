import { firstIdAt } from '../lib/ids.ts';
import type { ListSide } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { type ListOrder, rowsBeside } from './pages.ts';

/** An event of the audit log. */
export interface EventRow {
  id: string;
  at: number;
  kind: string;
  accountId: string | null;
  agentId: string | null;
  /** The shared workspace that it happened in; null: none. */
  workspaceId: string | null;
  /** The id of what the event is about, where that is neither an account nor an agent. */
  subject: string | null;
  address: string | null;
  requestId: string | null;
  /** JSON, without secrets. */
  details: string | null;
}

/** An event to insert. */
interface NewEvent extends EventRow {
  /** Whether it is in the revocation feed. */
  isFollowed: boolean;
}

export async function insertEvent(tx: Tx, event: NewEvent): Promise<void> {
  await tx.run(
    `INSERT INTO events (id, at, kind, account_id, agent_id, subject, address, request_id, details, followed, workspace_id)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      event.id,
      event.at,
      event.kind,
      event.accountId,
      event.agentId,
      event.subject,
      event.address,
      event.requestId,
      event.details,
      event.isFollowed ? 1 : 0,
      event.workspaceId,
    ],
  );
}

/** Lists events after an id, oldest first. */
export function listEvents(db: Pick<Db, 'all'>, after: string, limit: number): Promise<EventRow[]> {
  return db.all<EventRow>(`SELECT ${COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?`, [after, limit]);
}

/** Selects events: each member narrows the selection. `since` (inclusive), `until` (exclusive): epoch ms. */
export interface EventFilter {
  after?: string | undefined;
  kind?: string | undefined;
  agentId?: string | undefined;
  accountId?: string | undefined;
  workspaceId?: string | undefined;
  subject?: string | undefined;
  networkStart?: string | undefined;
  requestId?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

const PAGE = 1000;
/** The largest difference expected between the clocks of services on one database. */
const CLOCKS_APART_MS = 60_000;

/**
 * Yields the events that match a filter, oldest first. It reads all events, a page at a time: most are registrations,
 * and an index would cost every registration more than the operator's rare query does
 * (docs/adr/0003-two-engines-one-sql.md).
 */
export async function* findEvents(db: Pick<Db, 'all'>, filter: EventFilter): AsyncGenerator<EventRow> {
  const { since, until = Number.POSITIVE_INFINITY } = filter;
  let after = filter.after ?? '';
  const sinceId = since === undefined ? '' : firstIdAt('evt', since);
  if (sinceId > after) after = sinceId;
  for (;;) {
    const rows = await listEvents(db, after, PAGE);
    for (const row of rows) {
      if (row.at >= until) continue; // not the last match: ids follow clocks that can differ a little
      if (matches(row, filter)) yield row;
    }
    if (rows.length < PAGE || rows[0]!.at > until + CLOCKS_APART_MS) return;
    after = rows.at(-1)!.id;
  }
}

function matches(row: EventRow, filter: EventFilter): boolean {
  const { kind, agentId, accountId, workspaceId, subject, networkStart, requestId } = filter;
  return (
    (kind === undefined || row.kind === kind) &&
    (agentId === undefined || row.agentId === agentId) &&
    (accountId === undefined || row.accountId === accountId) &&
    (workspaceId === undefined || row.workspaceId === workspaceId) &&
    (subject === undefined || row.subject === subject) &&
    (networkStart === undefined || row.address?.startsWith(networkStart) === true) &&
    (requestId === undefined || row.requestId === requestId)
  );
}

const NEWEST: ListOrder = { keys: ['id'], isDescending: true };

/**
 * Lists the events of an account, an agent or a workspace, newest first, without registrations, which the indexes leave out.
 *
 * @param place where the page begins or ends; undefined: the first page
 */
export function listEventsOf(
  db: Pick<Db, 'all'>,
  target: { accountId: string } | { agentId: string } | { workspaceId: string },
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<EventRow[]> {
  const [name, id] = Object.entries(target)[0] as [keyof typeof COLUMN_OF, string];
  const { condition, orderBy } = rowsBeside(NEWEST, place && { side: place.side, values: [place.id] });
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events
     WHERE ${COLUMN_OF[name]} = ? AND ${COLUMN_OF[name]} IS NOT NULL AND kind <> 'registration.created' ${condition.sql} ${orderBy} LIMIT ?`,
    [id, ...condition.params, limit],
  );
}

/** Selects events of an account: of some kinds, of some agents or keys, or both. Without one, there are none. */
export interface EventSelection {
  kinds: readonly string[] | undefined;
  /** Undefined: whatever they are about. */
  about: { agentIds: readonly string[]; keyIds: readonly string[] } | undefined;
}

/**
 * Lists the selected events of an account, newest first. Each kind, or each agent and key, is read from its own place of an
 * index, no further than the page goes, however many other events the account has.
 *
 * @param place where the page begins or ends; undefined: the first page
 * @param limit a constant of the program
 */
export function listSelectedEvents(
  db: Pick<Db, 'all'>,
  accountId: string,
  { kinds, about }: EventSelection,
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<EventRow[]> {
  const { condition, orderBy } = rowsBeside(NEWEST, place && { side: place.side, values: [place.id] });
  const isOfKind = kinds === undefined ? '' : ` AND kind IN (${kinds.map(() => '?').join(', ')})`;
  const each = (where: string, ids: readonly string[], others: readonly string[]) =>
    ids.map((id) => ({ where, params: [accountId, id, ...others] }));
  const branches =
    about === undefined
      ? each(`account_id IS NOT NULL AND kind <> 'registration.created' AND kind = ?`, kinds ?? [], [])
      : [
          ...each(
            `kind <> 'registration.created' AND agent_id IS NOT NULL AND agent_id = ?${isOfKind}`,
            about.agentIds,
            kinds ?? [],
          ),
          ...each(`${OF_KEYS} AND subject = ?${isOfKind}`, about.keyIds, kinds ?? []),
        ];
  if (branches.length === 0) return Promise.resolve([]);
  const parts = branches.map(
    ({ where }, index) => `SELECT id FROM
       (SELECT id FROM events WHERE account_id = ? AND ${where}${condition.sql} ${orderBy} LIMIT ${limit}) b${index}`,
  );
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE id IN
       (SELECT id FROM (${parts.join(' UNION ALL ')}) selected ${orderBy} LIMIT ${limit}) ${orderBy}`,
    branches.flatMap(({ params }) => [...params, ...condition.params]),
  );
}

/**
 * Lists the newest events about the service itself and what operators did. The list of kinds is literally that of the
 * index `events_operating`.
 */
export function listOperatingEvents(db: Pick<Db, 'all'>, before: string, limit: number): Promise<EventRow[]> {
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE ${OPERATING} AND id < ? ORDER BY id DESC LIMIT ?`,
    [before, limit],
  );
}

/** Lists the newest events about one thing, which is neither a registration nor a token. @param subject its id */
export function listEventsOfSubject(
  db: Pick<Db, 'all'>,
  subject: string,
  limit: number,
): Promise<EventRow[]> {
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events
     WHERE subject = ? AND subject IS NOT NULL AND kind NOT IN ('registration.created', 'token.issued')
     ORDER BY id DESC LIMIT ?`,
    [subject, limit],
  );
}

/** Lists the events of a notice, oldest first. */
export function listEventsOfNotice(db: Pick<Db, 'all'>, mailId: string): Promise<EventRow[]> {
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE id IN (SELECT event_id FROM notices WHERE mail_id = ?) ORDER BY id`,
    [mailId],
  );
}

/**
 * Lists the events of the revocation feed from an id on, oldest first. The condition is literally that of the index
 * `events_feed`: otherwise the planner does not use the index.
 */
export function listFeedEvents(
  db: Pick<Db, 'all'>,
  page: { after: string } | { from: string },
  limit: number,
): Promise<EventRow[]> {
  const [condition, id] = 'after' in page ? ['id > ?', page.after] : ['id >= ?', page.from];
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE ${condition} AND ${FOLLOWED} ORDER BY id LIMIT ?`,
    [id, limit],
  );
}

/** Whether the revocation feed has events without a position. */
export async function hasUnpositionedEvents(db: Pick<Db, 'get'>): Promise<boolean> {
  return (await db.get(`SELECT id FROM events WHERE position IS NULL AND ${FOLLOWED} LIMIT 1`)) !== undefined;
}

/** Sets the next position for up to `limit` events of the feed without one. The caller's lock excludes other calls. */
export async function updateEventPositions(tx: Tx, limit: number): Promise<void> {
  const last = await tx.get<{ position: number }>(
    'SELECT position FROM events WHERE position IS NOT NULL ORDER BY position DESC, id DESC LIMIT 1',
  );
  await tx.run(
    `UPDATE events SET position = ? WHERE id IN
       (SELECT id FROM events WHERE position IS NULL AND ${FOLLOWED} ORDER BY id LIMIT ?)`,
    [(last?.position ?? 0) + 1, limit],
  );
}

/** Finds the last event of the revocation feed in the order of positions. */
export function findLastPositioned(db: Pick<Db, 'get'>): Promise<{ id: string } | undefined> {
  return db.get('SELECT id FROM events WHERE position IS NOT NULL ORDER BY position DESC, id DESC LIMIT 1');
}

/** Finds the position of an event; undefined: it has none yet, is not in the revocation feed, or was deleted. */
export async function findEventPosition(db: Pick<Db, 'get'>, id: string): Promise<number | undefined> {
  const row = await db.get<{ position: number | null }>('SELECT position FROM events WHERE id = ?', [id]);
  return row?.position ?? undefined;
}

/** Lists the events of the revocation feed after one of them, in the order of positions. */
export function listPositioned(
  db: Pick<Db, 'all'>,
  after: { position: number; id: string },
  limit: number,
): Promise<EventRow[]> {
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE position IS NOT NULL AND (position, id) > (?, ?)
     ORDER BY position, id LIMIT ?`,
    [after.position, after.id, limit],
  );
}

/** Deletes up to `limit` events with an id below `beforeId`; returns how many. */
export function deleteOldEvents(tx: Tx, beforeId: string, limit: number): Promise<number> {
  return tx.run('DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ? ORDER BY id LIMIT ?)', [
    beforeId,
    limit,
  ]);
}

/** No registration or token, as most events are: first in conditions of indexes, since SQLite compares slowly with lists. */
export const OF_RARE_KIND = `kind <> 'registration.created' AND kind <> 'token.issued'`;
/** The kinds of events about keys, as the index `events_key` lists them. */
const OF_KEYS = `${OF_RARE_KIND} AND kind IN ('key.created', 'key.expiring', 'key.retired', 'key.revoked')`;

/** Whether an event is in the revocation feed; the version before `followed` was written is known by its kinds. */
const FOLLOWED = `(followed = 1 OR (followed IS NULL AND kind IN ('account.deleted', 'agent.linked',
  'agent.merge_undone', 'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired', 'key.revoked',
  'resource.removed')))`;

/** The kinds of listOperatingEvents(), as the index of the migration lists them. */
const OPERATING = `${OF_RARE_KIND} AND kind IN ('database.restored', 'operator.account_deleted', 'operator.added',
  'operator.agent_revoked', 'operator.client_removed', 'operator.client_resumed', 'operator.client_rotated', 'operator.client_suspended',
  'operator.key_revoked', 'operator.keys_revoked', 'operator.mail_changed', 'operator.mail_retried', 'operator.removed', 'operator.sessions_ended',
  'operator.workspace_deleted', 'resource.added', 'resource.removed', 'resource.rotated', 'signing_key.made')`;

const COLUMNS = `id, at, kind, account_id AS "accountId", agent_id AS "agentId", subject, address,
  request_id AS "requestId", details, workspace_id AS "workspaceId"`;
const COLUMN_OF = { accountId: 'account_id', agentId: 'agent_id', workspaceId: 'workspace_id' } as const;
