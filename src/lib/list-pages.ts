/** Lists in pages, so that a long list loads as fast as a short one. */

/** How many rows a page has. */
export const PAGE_ROWS = 50;

/** Restricts a list to matching rows. */
export interface ListFilter {
  /** Part of a name, in any case, or a whole id. */
  search?: string | undefined;
  state?: 'live' | 'ended' | undefined;
}

/** A request for one page of a list. */
export interface ListQuery extends ListFilter {
  /** The `next` of the previous page; undefined for the first page. */
  before?: string | undefined;
}

/** One page of a list. */
export interface ListPage<Item> {
  items: Item[];
  /** The cursor of the next page; undefined on the last page. */
  next: string | undefined;
}

/** How many rows to read from the store: one more than a page shows tells whether there is a next page. */
export const PAGE_LIMIT = PAGE_ROWS + 1;

/** Cuts rows of the store to one page. @param mark returns the cursor of a row, for `next` */
export function cutPage<Row>(rows: readonly Row[], mark: (row: Row) => string): ListPage<Row> {
  const items = rows.slice(0, PAGE_ROWS);
  return { items, next: rows.length > items.length ? mark(items.at(-1)!) : undefined };
}

/** Formats the cursor of a list that is ordered by time, then by id. @param at epoch ms */
export function formatTimeCursor(at: number, id: string): string {
  return `${at}.${id}`;
}

/** Parses a cursor of formatTimeCursor(). @returns undefined for any other text: the list then starts at its newest row */
export function parseTimeCursor(mark: string | undefined): { at: number; id: string } | undefined {
  const found = /^(\d{1,15})\.(\w{1,64})$/.exec(mark ?? '');
  return found === null ? undefined : { at: Number(found[1]), id: found[2]! };
}

/** Iterates over all items of a list, page by page. */
export async function* allItems<Item>(
  read: (query: ListQuery) => Promise<ListPage<Item>>,
): AsyncGenerator<Item> {
  for (let before: string | undefined; ; ) {
    const { items, next } = await read({ before });
    yield* items;
    if (next === undefined) return;
    before = next;
  }
}
