import { firstIdAt } from '../lib/ids.ts';
import type { Db, Tx } from './engine/db.ts';

export interface EventRow {
  id: string;
  at: number;
  kind: string;
  accountId: string | null;
  agentId: string | null;
  subject: string | null;
  address: string | null;
  requestId: string | null;
  details: string | null;
}

export async function insertEvent(tx: Tx, event: EventRow): Promise<void> {
  await tx.run(
    `INSERT INTO events (id, at, kind, account_id, agent_id, subject, address, request_id, details)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
    ],
  );
}

/** Events after an id, oldest first. */
export function listEvents(db: Pick<Db, 'all'>, after: string, limit: number): Promise<EventRow[]> {
  return db.all<EventRow>(`SELECT ${COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?`, [after, limit]);
}

/** Which events, each member narrows. `since` and `until` (not of it any more): epoch ms. */
export interface EventFilter {
  after?: string | undefined;
  kind?: string | undefined;
  agentId?: string | undefined;
  accountId?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

const PAGE = 1000;
/** How far the clocks of services on one database may be apart. */
const CLOCKS_APART_MS = 60_000;

/**
 * The events that a filter lets through, oldest first. All are read, a page at a time: most are registrations, and an index by
 * which those could be looked up would cost each of them more than the operator's rare question does.
 */
export async function* findEvents(db: Pick<Db, 'all'>, filter: EventFilter): AsyncGenerator<EventRow> {
  const { kind, agentId, accountId, since, until = Number.POSITIVE_INFINITY } = filter;
  let after = filter.after ?? '';
  const first = since === undefined ? '' : firstIdAt('evt', since);
  if (first > after) after = first;
  for (;;) {
    const rows = await listEvents(db, after, PAGE);
    for (const row of rows) {
      if (row.at >= until) continue; // not the end: ids are in the order of clocks that can differ by a little
      if (kind !== undefined && row.kind !== kind) continue;
      if (agentId !== undefined && row.agentId !== agentId) continue;
      if (accountId !== undefined && row.accountId !== accountId) continue;
      yield row;
    }
    if (rows.length < PAGE || rows[0]!.at > until + CLOCKS_APART_MS) return;
    after = rows.at(-1)!.id;
  }
}

/** What happened to an account, or to an agent, newest first, without its registration (which the indexes leave out). */
export function listEventsOf(
  db: Pick<Db, 'all'>,
  whose: { accountId: string } | { agentId: string },
  before: string | undefined,
  limit: number,
): Promise<EventRow[]> {
  const [column, id] = 'accountId' in whose ? ['account_id', whose.accountId] : ['agent_id', whose.agentId];
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events
     WHERE ${column} = ? AND ${column} IS NOT NULL AND kind <> 'registration.created'
       ${before === undefined ? '' : 'AND id < ?'} ORDER BY id DESC LIMIT ?`,
    before === undefined ? [id, limit] : [id, before, limit],
  );
}

/** What a notice tells of, oldest first. */
export function listNoticed(db: Pick<Db, 'all'>, mailId: string): Promise<EventRow[]> {
  return db.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE id IN (SELECT event_id FROM notices WHERE mail_id = ?) ORDER BY id`,
    [mailId],
  );
}

/**
 * The events that resource servers follow, from an id on, oldest first. The list of kinds is, word for word, that of the index
 * `events_followed`: otherwise the index is not used.
 */
export function listFollowed(
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

/** Whether there are events of that kind that nobody has numbered. */
export async function hasUnpositioned(db: Pick<Db, 'get'>): Promise<boolean> {
  return (await db.get(`SELECT id FROM events WHERE position IS NULL AND ${FOLLOWED} LIMIT 1`)) !== undefined;
}

/** Gives some of them the next number. Nobody else may do that at the same time. */
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

/** The last event in the order of their numbers. */
export function findLastPositioned(db: Pick<Db, 'get'>): Promise<{ id: string } | undefined> {
  return db.get('SELECT id FROM events WHERE position IS NOT NULL ORDER BY position DESC, id DESC LIMIT 1');
}

/** The number of an event; none has one that is not of that kind, or not there any more. */
export async function findEventPosition(db: Pick<Db, 'get'>, id: string): Promise<number | undefined> {
  const row = await db.get<{ position: number | null }>('SELECT position FROM events WHERE id = ?', [id]);
  return row?.position ?? undefined;
}

/** Those behind one of them, in the order of their numbers. */
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

/** Removes up to `limit` events with an id below `beforeId`; returns how many. */
export function deleteOldEvents(tx: Tx, beforeId: string, limit: number): Promise<number> {
  return tx.run('DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ? ORDER BY id LIMIT ?)', [
    beforeId,
    limit,
  ]);
}

/** What resource servers follow, as the indexes of the migrations have it. */
const FOLLOWED = `kind IN ('account.deleted', 'agent.linked', 'agent.merge_undone',
  'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired', 'key.revoked', 'resource.removed')`;

const COLUMNS = `id, at, kind, account_id AS "accountId", agent_id AS "agentId", subject, address,
  request_id AS "requestId", details`;
