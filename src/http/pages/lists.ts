import type { ListQuery } from '../../lib/list-pages.ts';

/** Lists on pages: their query parameters and the links between their pages. */

const STATES = ['live', 'ended'] as const;

/** The tabs above a list, with the texts `list.NAME`. */
const TABS = [
  { name: 'all', state: undefined },
  { name: 'active', state: 'live' },
  { name: 'ended', state: 'ended' },
] as const;

/**
 * Reads `?q=` (part of a name), `?show=live|ended` and `?before=` (where the page starts). An invalid value counts as
 * absent.
 */
export function readListQuery(query: URLSearchParams): ListQuery {
  const search = query.get('q')?.normalize('NFC').trim().slice(0, 64);
  return {
    search: search === '' ? undefined : search,
    state: STATES.find((state) => state === query.get('show')),
    before: readPageMark(query, 'before'),
  };
}

/**
 * Reads an id in the query, after which a page starts.
 *
 * @returns undefined if it is absent or malformed
 */
export function readId(query: URLSearchParams, name: string): string | undefined {
  return /^[a-z]+_\w{1,64}$/.exec(query.get(name) ?? '')?.[0];
}

/**
 * Prepares the form above a list, and the link to its next page, for a template.
 *
 * @param next where the next page starts; undefined: this is the last page
 */
export function presentList(path: string, query: URLSearchParams, next: string | undefined): object {
  const { search, state, before } = readListQuery(query);
  return {
    path,
    search: search ?? '',
    state: state ?? '',
    tabs: TABS.map(({ name, state: shown }) => ({
      name,
      href: listPath(path, { q: search, show: shown }),
      isCurrent: shown === state,
    })),
    isNarrowed: search !== undefined || state !== undefined,
    isShort: next === undefined && before === undefined && search === undefined && state === undefined,
    older: olderLink(path, query, 'before', next),
  };
}

/**
 * Returns the link to the next page of a list, which keeps the other list parameters of the query.
 *
 * @param name the parameter that says where the page starts
 * @param next its value; undefined: there is no next page, and no link
 */
export function olderLink(
  path: string,
  query: URLSearchParams,
  name: string,
  next: string | undefined,
): string | undefined {
  if (next === undefined) return undefined;
  const kept = new URLSearchParams([...query].filter(([each]) => KEPT_PARAMETERS.has(each) && each !== name));
  kept.set(name, next);
  return `${path}?${kept}`;
}

/** Returns the path of a list with the parameters that have a value. */
function listPath(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value);
  return query.size === 0 ? path : `${path}?${query}`;
}

const KEPT_PARAMETERS = new Set(['q', 'show', 'kind', 'before', 'hosts', 'keys']);

function readPageMark(query: URLSearchParams, name: string): string | undefined {
  return /^(?:\d{1,15}\.)?\w{1,80}$/.exec(query.get(name) ?? '')?.[0];
}
