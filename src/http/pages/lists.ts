import { COUNT_MAX, type ListMark, type ListPage, type ListQuery, PAGE_ROWS } from '../../lib/list-pages.ts';

/** Lists on pages: their state, which stands in the query string alone, and the links that change it. */

/** A list on a page. */
export interface ListView {
  path: `/${string}`;
  query: URLSearchParams;
  /** The parameters that links within the list keep, beside where a page begins: what narrows and what sorts it. */
  parameters: readonly string[];
  /** The parameters that say where a page begins or ends, on a page with several lists. */
  marks?: MarkNames;
  /** The id of its section, on a page with more than the list. */
  anchor?: string;
}

/** Names of the parameters that say after, or before, which row a page is. */
interface MarkNames {
  after: string;
  before: string;
}

const MARKS: MarkNames = { after: 'after', before: 'before' };

/** How long a search can be: a name or id. */
const SEARCH_MAX = 64;

/** The tabs, and the sort orders of a list, as `?show=` and `?sort=` name them. The default has no name. */
interface ListNames<State extends string, Sort extends string> {
  states: readonly State[];
  sorts: readonly Sort[];
}

/**
 * Reads `?q=` (the start of a name or id), `?show=` (a tab), `?sort=` and `?after=` or `?before=` (where the page
 * begins or ends). An invalid value counts as absent.
 */
export function readListQuery<State extends string = never, Sort extends string = never>(
  query: URLSearchParams,
  { states, sorts }: ListNames<State, Sort> = { states: [], sorts: [] },
): ListQuery<State, Sort> {
  return {
    search: readSearch(query),
    state: readOneOf(query, 'show', states),
    sort: readOneOf(query, 'sort', sorts),
    at: readMark(query),
  };
}

/** Reads a parameter that has one of some values. @returns undefined for any other */
export function readOneOf<const Value extends string>(
  query: URLSearchParams,
  name: string,
  values: readonly Value[],
): Value | undefined {
  return values.find((value) => value === query.get(name));
}

/** Reads `?q=`. @returns undefined if it is absent, blank, or has a character that no name and no id has */
export function readSearch(query: URLSearchParams): string | undefined {
  const search = (query.get('q') ?? '').normalize('NFC').trim();
  const isSearch = search !== '' && !/[\p{Cc}\p{Cs}\ufffd]/u.test(search);
  return isSearch ? [...search].slice(0, SEARCH_MAX).join('') : undefined;
}

/** Reads `?after=` or `?before=`, or what stands for them. */
export function readMark(query: URLSearchParams, names: MarkNames = MARKS): ListMark | undefined {
  const side = query.has(names.after) ? 'after' : 'before';
  const mark = /^[\w.-]{1,1200}$/.exec(query.get(names[side]) ?? '')?.[0];
  return mark === undefined ? undefined : { side, mark };
}

/**
 * Reads an id in the query.
 *
 * @returns undefined if it is absent or malformed
 */
export function readId(query: URLSearchParams, name: string): string | undefined {
  return /^[a-z]+_\w{1,64}$/.exec(query.get(name) ?? '')?.[0];
}

/**
 * Returns the link to a list with some of its parameters changed. It leads to the first page unless the change says
 * which.
 *
 * @param changes the new values; undefined removes a parameter
 */
export function listLink(
  { path, query, parameters, anchor }: ListView,
  changes: Readonly<Record<string, string | undefined>>,
): string {
  const link = new URLSearchParams();
  for (const name of parameters) {
    const value = query.get(name);
    if (value && !(name in changes)) link.set(name, value);
  }
  for (const [name, value] of Object.entries(changes)) if (value !== undefined) link.set(name, value);
  return `${path}${link.size === 0 ? '' : `?${link}`}${anchor === undefined ? '' : `#${anchor}`}`;
}

/** A tab above a list. */
export interface Tab {
  /** Its text in the catalogue. */
  text: string;
  /** Its value of `?show=`; undefined: the tab that is shown by default. */
  state: string | undefined;
  count: number | undefined;
}

/** A choice of a menu: its text in the catalogue, or a name that somebody wrote. */
export type Choice = { value: string; text: string } | { value: string; name: string | undefined };

/** A menu in the filter bar. */
export interface Select {
  /** The parameter. */
  name: string;
  /** The text of its label in the catalogue. */
  label: string;
  /** The first has the value '', and narrows nothing. */
  choices: readonly Choice[];
  /** Further choices under headings, which are texts of the catalogue. */
  groups?: readonly { label: string; choices: readonly Choice[] }[];
}

/**
 * Prepares the filter bar above a list for the template `filter-bar`.
 *
 * @param sorts the choices of the menu that stands for the headings of the table where that has none, on phones
 * @param search what is searched for, if readSearch() does not read it
 */
export function presentFilters(
  view: ListView,
  {
    tabs = [],
    selects = [],
    sorts = [],
    search = { text: readSearch(view.query) ?? '', max: SEARCH_MAX },
  }: {
    tabs?: readonly Tab[];
    selects?: readonly Select[];
    sorts?: readonly Choice[];
    search?: { text: string; max: number };
  },
): object {
  const { path, query } = view;
  const chosen = (name: string, choices: readonly Choice[]) =>
    choices.find(({ value }) => value === query.get(name))?.value ?? '';
  const menus = selects.map((select) => ({
    ...select,
    value: chosen(select.name, [
      ...select.choices,
      ...(select.groups ?? []).flatMap(({ choices }) => choices),
    ]),
  }));
  const fields = ['q', ...selects.map(({ name }) => name)];
  const isSet = search.text !== '' || menus.some(({ value }) => value !== '');
  const current = tabs.find(({ state }) => state !== undefined && state === query.get('show'))?.state;
  return {
    path,
    search: search.text,
    searchMax: search.max,
    selects: menus,
    sorts,
    sort: chosen('sort', sorts),
    /** The tab stays when the form is sent. */
    tab: current,
    tabs: tabs.map((tab) => ({
      ...tab,
      href: listLink(view, { show: tab.state }),
      isCurrent: tab.state === current,
    })),
    clear: isSet ? listLink(view, Object.fromEntries(fields.map((name) => [name, undefined]))) : undefined,
  };
}

/** A column that a list can be sorted by. */
export interface SortColumn<Sort extends string> {
  /** The sort orders; undefined: the default of the list. `first` is the one that a click on the heading begins with. */
  ascending: Sort | undefined;
  descending: Sort | undefined;
  first: 'ascending' | 'descending';
}

/** Prepares the headings of sortable columns for the template `sort-heading`: each a link, and its direction if current. */
export function presentSorts<Sort extends string, Column extends string>(
  view: ListView,
  sort: Sort | undefined,
  columns: Readonly<Record<Column, SortColumn<Sort>>>,
): Record<Column, { href: string; direction: 'ascending' | 'descending' | undefined }> {
  const present = (column: SortColumn<Sort>) => {
    const direction = (['ascending', 'descending'] as const).find((each) => column[each] === sort);
    const next =
      direction === undefined ? column.first : direction === 'ascending' ? 'descending' : 'ascending';
    return { href: listLink(view, { sort: column[next] }), direction };
  };
  return Object.fromEntries(
    Object.entries<SortColumn<Sort>>(columns).map(([name, column]) => [name, present(column)]),
  ) as Record<Column, ReturnType<typeof present>>;
}

/**
 * Prepares what is below a list for the template `paging`.
 *
 * @param page the page that is shown
 * @param counted.total how many rows the list has; undefined, or above COUNT_MAX: it is not said
 * @param counted.preceding how many rows are before the page
 * @param counted.isFound whether the rows were searched for
 */
export function presentPaging(
  view: ListView,
  { items, previous, next }: ListPage<unknown>,
  counted: { total?: number; preceding?: number; isFound?: boolean; isByTime?: boolean } = {},
): object {
  const { total, preceding = 0, isFound = false, isByTime = false } = counted;
  const { marks = MARKS } = view;
  const isCounted = total !== undefined && total <= COUNT_MAX;
  const from = previous === undefined ? 1 : preceding + 1;
  const to = from + items.length - 1;
  return {
    range:
      isCounted && items.length > 0
        ? { text: isFound ? 'list.rangeFound' : 'list.range', from, to, total: Math.max(total, to) }
        : undefined,
    previous: previous === undefined ? undefined : listLink(view, { [marks.before]: previous }),
    next: next === undefined ? undefined : listLink(view, { [marks.after]: next }),
    /** Lists by time whose length is not said lead to newer and older rows. */
    texts:
      isByTime && !isCounted
        ? { previous: 'common.newer', next: 'common.older' }
        : { previous: 'common.previous', next: 'common.next' },
  };
}

/** How many rows are before a page, as presentPaging() takes it. @param upTo how many are before the place of its mark */
export function rowsBefore(at: ListMark | undefined, upTo: number, page: ListPage<unknown>): number {
  return at?.side === 'before' ? upTo - page.items.length : upTo;
}

/**
 * Prepares a list in an order of time that a search alone narrows: how many rows there are, the filter bar, if the rows
 * fill more than a page or were searched for, and the way to the other pages.
 *
 * @param counts all rows, those found, and those before the place of the mark
 */
export function presentSearchedList(
  path: `/${string}`,
  query: URLSearchParams,
  { search, at }: Pick<ListQuery, 'search' | 'at'>,
  counts: { all: number; found: number; preceding: number },
  page: ListPage<unknown>,
): { total: number; list: object | undefined; paging: object } {
  const view: ListView = { path, query, parameters: ['q'] };
  const isFound = search !== undefined;
  const preceding = rowsBefore(at, counts.preceding, page);
  return {
    total: counts.all,
    list: counts.all > PAGE_ROWS || isFound ? presentFilters(view, {}) : undefined,
    paging: presentPaging(view, page, { total: counts.found, preceding, isFound, isByTime: true }),
  };
}
