import type { Db, Value } from './engine/db.ts';
import type { EventRow } from './events.ts';

/** Statements by which operators search the audit log, newest first. */

/** How many events a page looks through at most, see agent-search.ts. */
const WINDOW_ROWS = 10_000;

/**
 * Which events are looked through. `born`: between which ids the registration or token of that id was recorded, since
 * the indexes leave those out.
 */
export type EventRange =
  | { by: 'all' }
  /** Those of a kind, unless isFrequent(). */
  | { by: 'kind'; kind: string }
  /** Those under an account, and those about it. */
  | { by: 'account'; id: string; born: IdRange }
  | { by: 'agent'; id: string; born: IdRange }
  /** Those in a workspace, and those about it. */
  | { by: 'workspace'; id: string }
  /** Those about something else. */
  | { by: 'subject'; id: string; born: IdRange };

/** Ids, both inclusive. */
export interface IdRange {
  fromId: string;
  toId: string;
}

/** Selects events: each member narrows the selection. */
export interface EventSearch extends IdRange {
  range: EventRange;
  kind?: string | undefined;
  /** Accounts and other things that it is under or about, by id: all of them. */
  ids?: readonly string[] | undefined;
  /** How the address starts. */
  networkStart?: string | undefined;
  requestId?: string | undefined;
}

/** Lists events before an id, newest first. */
export function listEventsFound(
  db: Pick<Db, 'all'>,
  search: EventSearch,
  before: string,
  limit: number,
): Promise<EventRow[]> {
  const where = conditions(search);
  const rows = windowOf(search, before, where.sql === '' ? limit : WINDOW_ROWS);
  return db.all(`SELECT * FROM (${rows.sql}) found ${where.sql} ORDER BY id DESC LIMIT ?`, [
    ...rows.params,
    ...where.params,
    limit,
  ]);
}

/** Finds the last event that listEventsFound() looked at; undefined: it came to the end. */
export async function findEventWindowEnd(
  db: Pick<Db, 'get'>,
  search: EventSearch,
  before: string,
): Promise<string | undefined> {
  const rows = windowOf(search, before, WINDOW_ROWS);
  const row = await db.get<{ id: string | null; count: number }>(
    `SELECT MIN(id) AS id, COUNT(*) AS count FROM (${rows.sql}) found`,
    rows.params,
  );
  return row!.count === WINDOW_ROWS ? (row!.id ?? undefined) : undefined;
}

/** Finds one event. */
export function findEvent(db: Pick<Db, 'get'>, id: string): Promise<EventRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM events WHERE id = ?`, [id]);
}

interface Part {
  sql: string;
  params: Value[];
}

/** The events to look through, newest first. */
function windowOf({ range, fromId, toId }: EventSearch, before: string, rows: number): Part {
  const arms = armsOf(range).map(({ sql, params }) => ({
    sql: `SELECT ${COLUMNS} FROM events WHERE ${sql} id >= ? AND id <= ? AND id < ?`,
    params: [...params, fromId, toId, before],
  }));
  return {
    sql: `${arms.map(({ sql }) => sql).join(' UNION ALL ')} ORDER BY id DESC LIMIT ${rows === WINDOW_ROWS ? WINDOW_ROWS : '?'}`,
    params: [...arms.flatMap(({ params }) => params), ...(rows === WINDOW_ROWS ? [] : [rows])],
  };
}

/** Conditions that an index serves each, and of which an event meets one. */
function armsOf(range: EventRange): Part[] {
  switch (range.by) {
    case 'all':
      return [{ sql: '', params: [] }];
    case 'kind':
      return [{ sql: `kind = ? AND ${RARE} AND`, params: [range.kind] }];
    case 'account':
      return holderArms('account_id', range.id, range.born);
    case 'agent':
      return holderArms('agent_id', range.id, range.born);
    case 'workspace':
      return [
        { sql: 'workspace_id = ? AND workspace_id IS NOT NULL AND', params: [range.id] },
        {
          sql: `subject = ? AND subject IS NOT NULL AND ${RARE} AND (workspace_id IS NULL OR workspace_id <> ?) AND`,
          params: [range.id, range.id],
        },
      ];
    case 'subject': {
      const { id, born } = range;
      return [
        { sql: `subject = ? AND subject IS NOT NULL AND ${RARE} AND`, params: [id] },
        {
          sql: `id >= ? AND id <= ? AND kind IN ${FREQUENT} AND subject = ? AND`,
          params: [born.fromId, born.toId, id],
        },
      ];
    }
  }
}

function holderArms(column: 'account_id' | 'agent_id', id: string, born: IdRange): Part[] {
  return [
    {
      sql: `${column} = ? AND ${column} IS NOT NULL AND kind <> 'registration.created' AND`,
      params: [id],
    },
    {
      sql: `subject = ? AND subject IS NOT NULL AND ${RARE} AND (${column} IS NULL OR ${column} <> ?) AND`,
      params: [id, id],
    },
    {
      sql: `id >= ? AND id <= ? AND kind = 'registration.created' AND ${column} = ? AND`,
      params: [born.fromId, born.toId, id],
    },
  ];
}

function conditions({ range, kind, ids = [], networkStart, requestId }: EventSearch): Part {
  const parts: Part[] = [
    ...(kind === undefined || range.by === 'kind' ? [] : [{ sql: 'kind = ?', params: [kind] }]),
    ...ids.map((id) => ({
      sql: '("accountId" = ? OR "agentId" = ? OR "workspaceId" = ? OR subject = ?)',
      params: [id, id, id, id],
    })),
    ...(networkStart === undefined
      ? []
      : [{ sql: `address LIKE ? ESCAPE '!'`, params: [`${networkStart.replace(/[!%_]/g, '!$&')}%`] }]),
    ...(requestId === undefined ? [] : [{ sql: '"requestId" = ?', params: [requestId] }]),
  ];
  if (parts.length === 0) return { sql: '', params: [] };
  return {
    sql: `WHERE ${parts.map(({ sql }) => sql).join(' AND ')}`,
    params: parts.flatMap(({ params }) => params),
  };
}

/** The kinds of most events, which the indexes by kind and subject leave out. */
const FREQUENT = `('registration.created', 'token.issued')`;
const RARE = `kind NOT IN ${FREQUENT}`;

/** Whether events of a kind are in no index by kind: they are looked through in the order in which they happened. */
export function isFrequent(kind: string): boolean {
  return FREQUENT.includes(`'${kind}'`);
}

const COLUMNS = `id, at, kind, account_id AS "accountId", agent_id AS "agentId", workspace_id AS "workspaceId", subject,
  address, request_id AS "requestId", details`;
