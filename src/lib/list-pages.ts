/** Lists in pages, so that a long list loads as fast as a short one. */

/** How many rows a page of a person's own list has. */
export const PAGE_ROWS = 25;

/** How many rows any page has at most. */
export const PAGE_ROWS_MAX = 50;

/** Rows are counted up to this number; a greater count is `COUNT_MAX + 1` and shown as `10,000+`. */
export const COUNT_MAX = 10_000;

/** A side of a row in the order of a list. */
export type ListSide = 'after' | 'before';

/** Where a page begins or ends: on one side of the row that a mark names. */
export interface ListMark {
  side: ListSide;
  /** The `next` of the page before it, or the `previous` of the page after it. */
  mark: string;
}

/** A request for one page of a list. */
export interface ListQuery<State extends string = string, Sort extends string = string> {
  /** The start of a name, in any case, or of an id. */
  search?: string | undefined;
  state?: State | undefined;
  /** Undefined: as the list is sorted by default. */
  sort?: Sort | undefined;
  /** Undefined: the first page. */
  at?: ListMark | undefined;
  /** How many rows the page has, at most PAGE_ROWS_MAX; undefined: PAGE_ROWS. */
  rows?: number | undefined;
}

/** One page of a list. */
export interface ListPage<Item> {
  items: Item[];
  /** The marks for the pages around it; undefined: there is none. */
  previous: string | undefined;
  next: string | undefined;
}

/** Returns the side of a list that begins after a row. @param mark its mark; undefined: the first page */
export function afterMark(mark: string | undefined): ListMark | undefined {
  return mark === undefined ? undefined : { side: 'after', mark };
}

/** A place beside a row of a list that is ordered by a key, then by id. */
export interface ListPlace<Key extends number | string = number | string> {
  side: ListSide;
  key: Key;
  id: string;
}

/**
 * Reads one page. A page before a place is filled from the beginning where too few rows are there, and a page after the
 * last row shows the first page.
 *
 * @param read reads up to `limit` rows on one side of a place, nearest first; without a place, the first ones
 * @param markOf names a row
 */
export async function readPage<Row, Place extends { side: ListSide }>(
  place: Place | undefined,
  rows: number | undefined,
  read: (place: Place | undefined, limit: number) => Promise<Row[]>,
  markOf: (row: Row) => string,
): Promise<ListPage<Row>> {
  const size = Math.min(rows ?? PAGE_ROWS, PAGE_ROWS_MAX);
  const found = await read(place, size + 1);
  const isBefore = place?.side === 'before';
  if (place !== undefined && found.length < (isBefore ? size : 1))
    return readPage(undefined, rows, read, markOf);
  const isMore = found.length > size;
  const items = isBefore ? found.slice(0, size).reverse() : found.slice(0, size);
  const hasPrevious = isBefore ? isMore : place !== undefined;
  const hasNext = isBefore || isMore;
  return {
    items,
    previous: hasPrevious ? markOf(items[0]!) : undefined,
    next: hasNext ? markOf(items.at(-1)!) : undefined,
  };
}

/** The page of a list without rows. */
export const EMPTY_PAGE: ListPage<never> = { items: [], previous: undefined, next: undefined };

/** Returns a page with its items changed. */
export function mapPage<Row, Item>(page: ListPage<Row>, toItems: (rows: Row[]) => Item[]): ListPage<Item> {
  return { ...page, items: toItems(page.items) };
}

/** Formats the mark of a row in a list that is ordered by a number, such as a time in epoch ms, then by id. */
export function formatNumberMark(key: number, id: string): string {
  return `${key}.${id}`;
}

/** Parses a mark of formatNumberMark(). @returns undefined for any other text: the list then begins at its first row */
export function parseNumberMark(at: ListMark | undefined): ListPlace<number> | undefined {
  const found = /^(\d{1,15})\.(\w{1,64})$/.exec(at?.mark ?? '');
  return at && found ? { side: at.side, key: Number(found[1]), id: found[2]! } : undefined;
}

/** Formats the mark of a row in a list that is ordered by a text, then by id. */
export function formatTextMark(key: string, id: string): string {
  return `${Buffer.from(key).toString('base64url')}.${id}`;
}

/** Parses a mark of formatTextMark(). @returns undefined for any other text */
export function parseTextMark(at: ListMark | undefined): ListPlace<string> | undefined {
  const found = /^([\w-]{0,1024})\.(\w{1,64})$/.exec(at?.mark ?? '');
  if (!at || !found) return undefined;
  const key = Buffer.from(found[1]!, 'base64url').toString();
  return key.includes('\0') ? undefined : { side: at.side, key, id: found[2]! };
}

/** Parses the mark of a list that is ordered by id. */
export function parseIdMark(at: ListMark | undefined): { side: ListSide; id: string } | undefined {
  return at && /^\w{1,64}$/.test(at.mark) ? { side: at.side, id: at.mark } : undefined;
}

/**
 * Iterates over the pages of a list.
 *
 * @param first the mark after which the first page begins; undefined: with the first row
 * @param read reads the page after a mark
 */
export async function* allPages<Page extends { next: string | undefined }>(
  first: string | undefined,
  read: (mark: string | undefined) => Promise<Page>,
): AsyncGenerator<Page> {
  for (let mark = first; ; ) {
    const page = await read(mark);
    yield page;
    if (page.next === undefined) return;
    mark = page.next;
  }
}

/** Iterates over all items of a list, page by page. */
export async function* allItems<Item>(
  read: (query: { at: ListMark | undefined; rows: number }) => Promise<ListPage<Item>>,
): AsyncGenerator<Item> {
  const pages = allPages(undefined, (mark) => read({ at: afterMark(mark), rows: PAGE_ROWS_MAX }));
  for await (const { items } of pages) yield* items;
}
