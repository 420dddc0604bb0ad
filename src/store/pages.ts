import { type ListFilter, PAGE_ROWS } from '../lib/list-pages.ts';

/** Parameters of statements that read a page of a list, or the rows that belong to all rows of a page. */

/**
 * Returns the parameters of `LOWER(name) LIKE ? ESCAPE '!' OR name LIKE ? ESCAPE '!' OR id = ?`. The second form is
 * there because LOWER changes only ASCII letters on SQLite.
 */
export function searchParams({ search }: ListFilter): [string, string, string] {
  const text = search === undefined ? '' : String(search);
  const part = text.replace(/[!%_]/g, '!$&');
  return [`%${part.toLowerCase()}%`, `%${part}%`, text];
}

/** Returns the parameter of `state LIKE ?`. */
export function stateParam({ state }: ListFilter): string {
  return state === undefined ? '%' : String(state);
}

/** `?, ?, …` for the ids of a full page, so that a statement has one text for any number of ids. */
export const PAGE_MARKS = Array.from({ length: PAGE_ROWS }, () => '?').join(', ');

/** Returns the parameters of PAGE_MARKS: the ids, filled up with empty strings, which are no ids. */
export function pageIds(ids: readonly string[]): string[] {
  const params = [...ids];
  return [...params, ...Array.from({ length: PAGE_ROWS - params.length }, () => '')];
}
