import { COUNT_MAX, type ListPlace, type ListSide, PAGE_ROWS_MAX } from '../lib/list-pages.ts';
import type { Value } from './engine/db.ts';

/** Parts of statements that read a page of a list, or the rows that belong to all rows of a page. */

/** A part of a statement, which begins with a space, and its parameters. */
export interface Part {
  sql: string;
  params: Value[];
}

const NOTHING: Part = { sql: '', params: [] };

/** How a list is ordered: by expressions, the last of which no two rows have alike. */
export interface ListOrder {
  keys: readonly string[];
  isDescending: boolean;
}

/**
 * Returns the condition for rows on one side of a place and the order in which they are read: nearest first.
 *
 * @param place the values of the keys there; undefined: no condition, and the list from its first row
 */
export function rowsBeside(
  { keys, isDescending }: ListOrder,
  place: { side: ListSide; values: readonly Value[] } | undefined,
): { condition: Part; orderBy: string } {
  const isGoingDown = isDescending === (place?.side !== 'before');
  const orderBy = `ORDER BY ${keys.map((key) => `${key} ${isGoingDown ? 'DESC' : 'ASC'}`).join(', ')}`;
  if (place === undefined) return { condition: NOTHING, orderBy };
  const marks = keys.map(() => '?').join(', ');
  const sql = ` AND (${keys.join(', ')}) ${isGoingDown ? '<' : '>'} (${marks})`;
  return { condition: { sql, params: [...place.values] }, orderBy };
}

/** Returns the condition for rows up to a place: those before the page that begins or ends there. */
export function rowsUpTo(
  { keys, isDescending }: ListOrder,
  { side, values }: { side: ListSide; values: readonly Value[] },
): Part {
  const comparison = `${isDescending ? '>' : '<'}${side === 'after' ? '=' : ''}`;
  const sql = ` AND (${keys.join(', ')}) ${comparison} (${keys.map(() => '?').join(', ')})`;
  return { sql, params: [...values] };
}

/**
 * Returns the condition for rows whose name, in any case, or id starts with a text. LOWER changes only ASCII letters on
 * SQLite, and in some locales of PostgreSQL: with others a name is also compared as it is with the text as it was typed, in
 * capital letters and as words begin; with ASCII as words begin alone, for locales that have two letters I. Each comparison
 * counts: a search looks at all names of an owner.
 *
 * @param search undefined: no condition
 */
export function startsWith(search: string | undefined, columns: { name: string; id: string }): Part {
  if (search === undefined) return NOTHING;
  const { name, id } = columns;
  const lower = search.toLowerCase();
  const [first = ''] = lower;
  const asWord = first.toUpperCase() + lower.slice(first.length);
  const comparisons: (readonly [column: string, start: string])[] = [
    [`LOWER(${name})`, lower],
    [name, asWord],
    ...(NOT_ASCII.test(search)
      ? ([
          [name, search],
          [name, search.toUpperCase()],
        ] as const)
      : []),
    ...(ID_START.test(search) ? ([[id, search]] as const) : []),
  ];
  return {
    sql: ` AND (${comparisons.map(([column]) => `${column} LIKE ? ESCAPE '!'`).join(' OR ')})`,
    params: comparisons.map(([, start]) => `${start.replace(/[!%_]/g, '!$&')}%`),
  };
}

const NOT_ASCII = /\P{ASCII}/u;
/** What an id can start with: `ag`, `agt_0mw`. Of OAuth clients it can be a URL. */
const ID_START = /^(?:[a-z]{1,4}|[a-z]{2,4}_\w*|https?(?::\S*)?)$/;

/** The creation of a row, from which a page goes on: those that were created before it. */
export type CreationPlace = Pick<ListPlace<number>, 'key' | 'id'>;

/** A search among the rows of a table, newest first, of which a page looks through WINDOW_ROWS at most: see agent-search.ts. */
export interface WindowedSearch {
  table: string;
  /** Conditions for the rows that are looked through, which an index finds. */
  range: readonly Part[];
  /** Conditions for those that are found among them. */
  filters: readonly Part[];
  before: CreationPlace | undefined;
}

const WINDOW_ROWS = 10_000;

/** Returns the statement that lists what a search finds, up to `limit` rows. @param columns of the table `found` */
export function windowedRows(search: WindowedSearch, columns: string, limit: number): Part {
  const window = windowOf(search);
  const where = joinParts(search.filters);
  return {
    sql: `SELECT ${columns} FROM (${window.sql} LIMIT ?) found
      WHERE 1 = 1${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`,
    params: [...window.params, where.sql === '' ? limit : WINDOW_ROWS, ...where.params, limit],
  };
}

/** Returns the statement that finds the CreationPlace of the last row that a search looks at; no row: it comes to the end. */
export function windowedEnd(search: WindowedSearch): Part {
  const window = windowOf(search);
  return {
    sql: `SELECT created_at AS key, id FROM (${window.sql} LIMIT 1 OFFSET ?) found`,
    params: [...window.params, WINDOW_ROWS - 1],
  };
}

/** The rows to look through, without a limit. */
function windowOf({ table, range, before }: WindowedSearch): Part {
  const { key, id } = before ?? { key: Number.MAX_SAFE_INTEGER, id: '' };
  const where = joinParts(range);
  return {
    sql: `SELECT * FROM ${table} WHERE (created_at, id) < (?, ?)${where.sql} ORDER BY created_at DESC, id DESC`,
    params: [key, id, ...where.params],
  };
}

function joinParts(parts: readonly Part[]): Part {
  return { sql: parts.map(({ sql }) => sql).join(''), params: parts.flatMap(({ params }) => params) };
}

/** How many rows a statement looks at to count them. */
export const SCAN_MAX = 100_000;

/** Returns an expression that counts the rows for which a condition holds. */
export function countIf(condition: string): string {
  return `COALESCE(SUM(CASE WHEN ${condition} THEN 1 ELSE 0 END), 0)`;
}

/** Returns an expression that counts the rows of `FROM … WHERE …`, up to one more than COUNT_MAX. */
export function countUpTo(rows: string): string {
  return `(SELECT COUNT(*) FROM (SELECT 1 AS one ${rows} LIMIT ${COUNT_MAX + 1}) counted)`;
}

/** `?, ?, …` for the ids of a full page, so that a statement has one text for any number of ids. */
export const PAGE_MARKS = Array.from({ length: PAGE_ROWS_MAX }, () => '?').join(', ');

/** Returns the parameters of PAGE_MARKS: the ids, filled up with empty strings, which are no ids. */
export function pageIds(ids: readonly string[]): string[] {
  const params = [...ids];
  return [...params, ...Array.from({ length: PAGE_ROWS_MAX - params.length }, () => '')];
}

/** `?, ?, …` for each of some values. */
export function marksOf(values: readonly unknown[]): string {
  return values.map(() => '?').join(', ');
}
