/** One page of what an operator's search finds, newest first. */
export interface FoundPage<Item> {
  items: Item[];
  /** Where the next page begins; undefined: this is the last one. */
  next: string | undefined;
  /** Whether the page is not full because it looked through as many rows as a page may: `next` goes on. */
  isPartial: boolean;
}

/** The page of a search that finds nothing, whatever there is. */
export const NOTHING_FOUND: FoundPage<never> = { items: [], next: undefined, isPartial: false };

/**
 * Reads one page.
 *
 * @param limit how many rows it has at most
 * @param list reads up to so many rows
 * @param markOf names a row, so that the next page goes on after it
 * @param findEnd names the last row that `list` looked at; undefined: it came to the end
 */
export async function readFoundPage<Row>(
  limit: number,
  list: (limit: number) => Promise<Row[]>,
  markOf: (row: Row) => string,
  findEnd: () => Promise<string | undefined>,
): Promise<FoundPage<Row>> {
  const found = await list(limit + 1);
  const items = found.slice(0, limit);
  if (found.length > limit) return { items, next: markOf(items.at(-1)!), isPartial: false };
  const next = await findEnd();
  return { items, next, isPartial: next !== undefined };
}
