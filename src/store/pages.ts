import { type ListFilter, PAGE_ROWS } from '../lib/list-pages.ts';

/** Lists are read in pages, and what belongs to the rows of a page in one statement for all of them. */

/** The parameters of `LOWER(name) LIKE ? ESCAPE '!' OR name LIKE ? ESCAPE '!' OR id = ?`: SQLite lowers ASCII alone. */
export function searchParams({ search }: ListFilter): [string, string, string] {
  const text = search === undefined ? '' : String(search);
  const part = text.replace(/[!%_]/g, '!$&');
  return [`%${part.toLowerCase()}%`, `%${part}%`, text];
}

/** For `state LIKE ?`. */
export function stateParam({ state }: ListFilter): string {
  return state === undefined ? '%' : String(state);
}

/** `?, ?, …` for the ids of a page, so that the statement is one text whatever their number. */
export const PAGE_MARKS = Array.from({ length: PAGE_ROWS }, () => '?').join(', ');

export function pageIds(ids: readonly string[]): string[] {
  const given = [...ids];
  return [...given, ...Array.from({ length: PAGE_ROWS - given.length }, () => '')];
}
