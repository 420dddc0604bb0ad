import { randomBase62 } from './base62.ts';
import type { Random } from './random.ts';

/** The public names of things, by type. An id is no secret: knowing it gives no right. */
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
  | 'req';

let sequence = 0;

/**
 * A new id: prefix, creation time in milliseconds (9 characters), a running number (3), 12 random characters (71 bits).
 *
 * Ids of one type sort by their time, and within one process by their order, so that rows are appended at the end of their
 * tables and indexes; random ids would touch a page each. What sorts is of digits and small letters alone: PostgreSQL's
 * collations agree on their order. The time within is no secret.
 */
export function newId(prefix: IdPrefix, now: number, random: Random): string {
  return firstIdAt(prefix, now) + nextInSequence() + randomBase62(12, random);
}

/** Ids for requests, which are many and whose randomness only tells processes apart: it is drawn once. */
export function createRequestIds(random: Random): (now: number) => string {
  const process = randomBase62(12, random);
  return (now) => firstIdAt('req', now) + nextInSequence() + process;
}

function nextInSequence(): string {
  sequence = (sequence + 1) % 36 ** 3;
  return sequence.toString(36).padStart(3, '0');
}

/** What every id of a type made at or after a moment sorts behind. */
export function firstIdAt(prefix: IdPrefix, at: number): string {
  if (at !== stampedAt) {
    stampedAt = at;
    stamp = Math.max(0, at).toString(36).padStart(9, '0');
  }
  return `${prefix}_${stamp}`;
}

// Many ids are made in one millisecond.
let stampedAt = -1;
let stamp = '';
