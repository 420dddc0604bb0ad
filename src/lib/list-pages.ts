/** Lists of what people have, in pages: whoever has much of it waits no longer than whoever has little. */

/** So many rows have a page. */
export const PAGE_ROWS = 50;

/** What a list leaves out. */
export interface ListFilter {
  /** Part of a name in whatever case, or a whole id. */
  search?: string | undefined;
  state?: 'live' | 'ended' | undefined;
}

/** What is asked for of a list. */
export interface ListQuery extends ListFilter {
  /** The `next` of the page before. */
  before?: string | undefined;
}

export interface ListPage<Item> {
  items: Item[];
  /** The mark to go on from; undefined: that was all. */
  next: string | undefined;
}

/** What is asked of the store: one row more than are shown says whether there is a next page. */
export const PAGE_LIMIT = PAGE_ROWS + 1;

/** @param mark of the last row that is shown: where the next page begins */
export function cutPage<Row>(rows: readonly Row[], mark: (row: Row) => string): ListPage<Row> {
  const items = rows.slice(0, PAGE_ROWS);
  return { items, next: rows.length > items.length ? mark(items.at(-1)!) : undefined };
}

/** A mark of lists that go by time, and where times are equal by id. */
export function timeMark(at: number, id: string): string {
  return `${at}.${id}`;
}

/** Whoever writes another mark into the address bar begins at the newest. */
export function readTimeMark(mark: string | undefined): { at: number; id: string } | undefined {
  const found = /^(\d{1,15})\.(\w{1,64})$/.exec(mark ?? '');
  return found === null ? undefined : { at: Number(found[1]), id: found[2]! };
}

/** All of a list, page by page. */
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
