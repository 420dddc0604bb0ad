/** How many characters of an id sort the same in every collation: prefix, time and sequence, see lib/ids.ts. */
const SORTED_CHARACTERS = 16;

/**
 * Returns the bounds, both inclusive, between which all ids with a start are, so that an index finds them.
 *
 * @param start at least the prefix of the type, such as `agt_`
 * @param fromId a lower bound that holds, too
 */
export function idBounds(start: string, fromId = ''): { fromId: string; toId: string } {
  const sorted = /^[a-z]+_[0-9a-z]*/.exec(start.slice(0, SORTED_CHARACTERS))?.[0] ?? '';
  return { fromId: sorted > fromId ? sorted : fromId, toId: sorted.padEnd(64, 'z') };
}
