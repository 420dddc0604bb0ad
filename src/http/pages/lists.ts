import type { ListQuery } from '../../lib/list-pages.ts';

/** Lists on pages: what the address bar asks of one, and the links that lead through it. */

const STATES = ['live', 'ended'] as const;

/** `?q=` part of a name, `?show=live|ended`, `?before=` where a page begins. What is none of these counts as not there. */
export function readListQuery(query: URLSearchParams): ListQuery {
  const search = query.get('q')?.normalize('NFC').trim().slice(0, 64);
  return {
    search: search === '' ? undefined : search,
    state: STATES.find((state) => state === query.get('show')),
    before: markIn(query, 'before'),
  };
}

/** An id in the query that a page begins behind. */
export function idIn(query: URLSearchParams, name: string): string | undefined {
  return /^[a-z]+_\w{1,64}$/.exec(query.get(name) ?? '')?.[0];
}

/** What the form above a list shows, and where it goes on. */
export function presentList(path: string, query: URLSearchParams, next: string | undefined): object {
  const { search, state, before } = readListQuery(query);
  return {
    path,
    search: search ?? '',
    state: state ?? '',
    isNarrowed: search !== undefined || state !== undefined,
    isShort: next === undefined && before === undefined && search === undefined && state === undefined,
    older: olderLink(path, query, 'before', next),
  };
}

/** The link to the next page of a list; what else the address bar says stays. */
export function olderLink(
  path: string,
  query: URLSearchParams,
  name: string,
  next: string | undefined,
): string | undefined {
  if (next === undefined) return undefined;
  const kept = new URLSearchParams([...query].filter(([each]) => KEPT.has(each) && each !== name));
  kept.set(name, next);
  return `${path}?${kept}`;
}

const KEPT = new Set(['q', 'show', 'before', 'hosts', 'keys']);

function markIn(query: URLSearchParams, name: string): string | undefined {
  return /^(?:\d{1,15}\.)?\w{1,80}$/.exec(query.get(name) ?? '')?.[0];
}
