import { randomBase62 } from './base62.ts';
import type { Random } from './random.ts';

/** The prefix of an id tells its type. An id is not a secret: knowing it grants no access. */
export type IdPrefix =
  | 'usr'
  | 'agt'
  | 'reg'
  | 'cla'
  | 'key'
  | 'tok'
  | 'jti'
  | 'fam'
  | 'hst'
  | 'apr'
  | 'rs'
  | 'evt'
  | 'out'
  | 'sgn'
  | 'ses'
  | 'cli'
  | 'con'
  | 'lnk'
  | 'wsp'
  | 'inv'
  | 'nod'
  | 'plc'
  | 'grt'
  | 'req';

let sequence = 0;

/**
 * Creates an id: prefix, creation time in ms (9 characters), sequence number (3), 12 random characters (71 bits).
 *
 * Ids of one type sort by creation time, and within one process by creation order. So new rows are appended to tables and
 * indexes; random ids would each touch another page. The part that sorts has only digits and lowercase letters, because
 * PostgreSQL's collations agree on their order. The creation time is public.
 *
 * @param now epoch ms
 */
export function newId(prefix: IdPrefix, now: number, random: Random): string {
  return firstIdAt(prefix, now) + nextInSequence() + randomBase62(12, random);
}

/** Creates a generator of request ids. Their random part only tells processes apart, so it is drawn once. */
export function createRequestIds(random: Random): (now: number) => string {
  const processPart = randomBase62(12, random);
  return (now) => firstIdAt('req', now) + nextInSequence() + processPart;
}

function nextInSequence(): string {
  sequence = (sequence + 1) % 36 ** 3;
  return sequence.toString(36).padStart(3, '0');
}

/** Returns the lower bound of all ids of a type that are created at or after a time. @param at epoch ms */
export function firstIdAt(prefix: IdPrefix, at: number): string {
  if (at !== stampedAt) {
    stampedAt = at;
    stamp = Math.max(0, at).toString(36).padStart(9, '0');
  }
  return `${prefix}_${stamp}`;
}

// The last time and its stamp: many ids are created in one millisecond.
let stampedAt = -1;
let stamp = '';
