import { readSearchText } from '../../../domain/operators/search.ts';
import { DAY_MS } from '../../../lib/time.ts';
import type { Problem } from '../forms.ts';
import type { OperatorCall } from './show.ts';

/** Lists of the console: their state, which stands in the query string alone, and the links that change it. */

/** The times that lists are narrowed to, in days, by the value of `?time=`. */
const TIMES: Readonly<Record<string, number>> = { '1d': 1, '7d': 7, '30d': 30 };

/** A menu in the filter bar: its parameter, and its values; the text of each is `console.filter.NAME.VALUE`. */
export interface Menu {
  name: string;
  values: readonly string[];
  /** What the keys of the texts begin with, if that is another. */
  textPrefix?: string;
}

export const TIME_MENU: Menu = { name: 'time', values: Object.keys(TIMES) };

/** Reads `?q=`, as typed, at most 254 characters: a mailbox is the longest that is searched for. */
export function readSearch(query: URLSearchParams): string {
  return (query.get('q') ?? '').normalize('NFC').replace(/\p{C}/gu, '').trim().slice(0, 254);
}

/** Reads a parameter that has one of some values. @returns undefined for any other */
export function readOneOf<const Value extends string>(
  query: URLSearchParams,
  name: string,
  values: readonly Value[],
): Value | undefined {
  return values.find((value) => value === query.get(name));
}

/** Reads `?time=`. @returns since when, epoch ms; undefined: at any time */
export function readSince({ deps, query }: Pick<OperatorCall, 'deps' | 'query'>): number | undefined {
  const days = TIMES[query.get('time') ?? ''];
  return days === undefined ? undefined : deps.clock() - days * DAY_MS;
}

/** Reads `?before=`, the id before which a page begins. */
export function readBefore(query: URLSearchParams): string | undefined {
  return /^[a-z]+_\w{1,64}$/.exec(query.get('before') ?? '')?.[0];
}

/** Reads `?before=` of a list whose cursors may also be times. */
export function readCursor(query: URLSearchParams): string | undefined {
  return /^[\w.]{1,80}$/.exec(query.get('before') ?? '')?.[0];
}

/**
 * Prepares the filter bar above a list for the template `console-filters`, and the links below it for `console-paging`.
 *
 * @param page.next where the next page begins; undefined: this is the last one
 * @param page.isPartial whether the page shows what it found so far, and the next one goes on
 */
export function presentList(
  path: `/${string}`,
  query: URLSearchParams,
  menus: readonly Menu[],
  page: { next: string | undefined; isPartial: boolean },
): { list: object; problem: Problem | undefined } {
  const search = readSearch(query);
  const isSecret = search.split(/\s+/).some((word) => readSearchText(word).by === 'secret');
  const kept = new URLSearchParams();
  if (search !== '' && !isSecret) kept.set('q', search);
  const shown = menus.map(({ name, values, textPrefix = `console.filter.${name}.` }) => {
    const value = readOneOf(query, name, values) ?? '';
    if (value !== '') kept.set(name, value);
    return { name, value, values, textPrefix };
  });
  const linkTo = (base: string, before?: string) => {
    const link = new URLSearchParams(kept);
    if (before !== undefined) link.set('before', before);
    return link.size === 0 ? base : `${base}?${link}`;
  };
  const isLater = readCursor(query) !== undefined;
  return {
    list: {
      path,
      search: isSecret ? '' : search,
      menus: shown,
      isNarrowed: kept.size > 0 || isSecret,
      newest: isLater ? linkTo(path) : undefined,
      older: page.next === undefined ? undefined : linkTo(path, page.next),
      isPartial: page.isPartial,
      csv: linkTo(`${path}.csv`),
      jsonLines: linkTo(`${path}.jsonl`),
    },
    problem: isSecret ? { key: 'console.filter.secret', field: 'q' } : undefined,
  };
}
