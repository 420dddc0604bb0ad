import { readSearchText } from '../../../domain/operators/search.ts';
import { CONSOLE, type ConsoleSection } from '../../../lib/page-paths.ts';
import { DAY_MS } from '../../../lib/time.ts';
import type { HandlerResult } from '../../server/table.ts';
import type { Problem } from '../forms.ts';
import { type ListView, listLink, presentFilters, readOneOf, type Select } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** Lists of the console: what they are narrowed by, and the way to older rows. */

/** The times that lists are narrowed to, in days, by the value of `?time=`. */
const TIMES: Readonly<Record<string, number>> = { '1d': 1, '7d': 7, '30d': 30 };

/** How long a search can be: a mailbox is the longest that is searched for. */
const SEARCH_MAX = 254;

/**
 * Creates a menu for the filter bar, which begins with a choice that narrows nothing.
 *
 * @param name the parameter; its texts are `console.filter.NAME…`
 * @param textPrefix what the texts of the values begin with, if that is another
 */
export function createMenu(
  name: string,
  values: readonly string[],
  textPrefix = `console.filter.${name}.`,
): Select {
  const choices = values.map((value) => ({ value, text: textPrefix + value }));
  return {
    name,
    label: `console.filter.${name}`,
    choices: [{ value: '', text: `console.filter.${name}.any` }, ...choices],
  };
}

export const TIME_MENU = createMenu('time', Object.keys(TIMES));

/** Reads `?q=`, as typed, without what nobody sees. */
export function readSearch(query: URLSearchParams): string {
  return (query.get('q') ?? '').normalize('NFC').replace(/\p{C}/gu, '').trim().slice(0, SEARCH_MAX);
}

/** Reads `?time=`. @returns since when, epoch ms; undefined: at any time */
export function readSince({ deps, query }: Pick<OperatorCall, 'deps' | 'query'>): number | undefined {
  const time = readOneOf(query, 'time', Object.keys(TIMES));
  return time === undefined ? undefined : deps.clock() - TIMES[time]! * DAY_MS;
}

/** Reads `?before=` of a list whose pages may begin at a time. */
export function readCursor(query: URLSearchParams): string | undefined {
  return /^[\w.]{1,80}$/.exec(query.get('before') ?? '')?.[0];
}

/**
 * Shows a list that a search and menus narrow.
 *
 * @param name of the template `console-NAME`
 * @param page as presentList() takes it
 * @param values the rows of the page, and what else its template takes
 */
export function showList(
  pages: Pages,
  { caller, query }: Pick<OperatorCall, 'caller' | 'query'>,
  section: ConsoleSection,
  name: string,
  selects: readonly Select[],
  page: { next: string | undefined; isPartial?: boolean },
  values: object,
): HandlerResult {
  return showConsole(pages, caller, section, name, {
    ...values,
    ...presentList(CONSOLE[section], query, selects, page),
  });
}

/**
 * Prepares a list: the filter bar above it, for the template `filter-bar`, the way to older rows below it, for `paging`,
 * and the links to its export. A search for a whole secret is a problem, and stays in no link.
 *
 * @param page.next where the next page begins; undefined: this is the last one
 * @param page.isPartial whether the page shows what it found so far, and the next one goes on
 */
export function presentList(
  path: `/${string}`,
  query: URLSearchParams,
  selects: readonly Select[],
  page: { next: string | undefined; isPartial?: boolean },
): { list: object; paging: object; problem: Problem | undefined } {
  const search = readSearch(query);
  const isSecret = search.split(/\s+/).some((word) => readSearchText(word).by === 'secret');
  const shown = new URLSearchParams(query);
  if (isSecret || search === '') shown.delete('q');
  else shown.set('q', search);
  const view: ListView = { path, query: shown, parameters: ['q', ...selects.map(({ name }) => name)] };
  const { isPartial = false } = page;
  const problem: Problem | undefined = isSecret ? { key: 'console.filter.secret', field: 'q' } : undefined;
  return {
    list: {
      ...presentFilters(view, { selects, search: { text: isSecret ? '' : search, max: SEARCH_MAX } }),
      csv: listLink({ ...view, path: `${path}.csv` }, {}),
      jsonLines: listLink({ ...view, path: `${path}.jsonl` }, {}),
    },
    paging: {
      previous: readCursor(query) === undefined ? undefined : listLink(view, {}),
      next: page.next === undefined ? undefined : listLink(view, { before: page.next }),
      texts: { previous: 'console.list.newest', next: isPartial ? 'console.list.goOn' : 'common.older' },
      note: isPartial ? 'console.list.partial' : undefined,
    },
    problem,
  };
}
