import { setTimeout } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Fetched, SafeFetch } from './safe-fetch.ts';

/**
 * Fetches a document that a stranger makes us fetch: nobody registered the URL, or a client did by itself.
 *
 * @param admit called before a request leaves; what it throws is thrown
 * @param parse what it throws makes the document one that cannot be had
 * @throws StrangerFetchError with one message for all faults, after one time for all: neither tells a stranger what is in
 * our network (S-86)
 * @throws TooManyFetches
 */
export type StrangerFetch = <Value>(
  url: string,
  options: {
    holdsKeys?: boolean;
    admit: () => Promise<unknown>;
    parse: (fetched: Fetched) => Value;
  },
) => Promise<Value>;

/** The document cannot be had. Its `cause` tells why, for the log. */
export class StrangerFetchError extends Error {}

/** As many fetches as there may be are running. */
export class TooManyFetches extends Error {}

/** What tests replace. */
export interface StrangerFetchOptions {
  /** How long each failure takes: as long as the slowest, which is the timeout of a SafeFetch. */
  failureMs?: number;
  /** How long a URL that failed is not fetched again. */
  rememberMs?: number;
}

const FAILURE_MS = 3000;
const REMEMBER_MS = 10_000;
const AT_ONCE_MAX = 16;
const REMEMBERED_MAX = 10_000;

/** Creates a StrangerFetch. */
export function createStrangerFetch(
  fetch: SafeFetch,
  { failureMs = FAILURE_MS, rememberMs = REMEMBER_MS }: StrangerFetchOptions = {},
): StrangerFetch {
  const failed = new LRUCache<string, true>({ max: REMEMBERED_MAX, ttl: rememberMs });
  let running = 0;

  return async (url, { holdsKeys = false, admit, parse }) => {
    if (failed.has(url)) throw new StrangerFetchError('The document could not be fetched.');
    if (running >= AT_ONCE_MAX) throw new TooManyFetches('Too many documents are being fetched.');
    running += 1;
    const release = () => {
      running -= 1;
    };
    const failsAt = await admit().then(
      () => performance.now() + failureMs,
      (error) => {
        release();
        throw error;
      },
    );
    try {
      return parse(await fetch(url, { namedBy: 'stranger', holdsKeys }).finally(release));
    } catch (error) {
      failed.set(url, true);
      await setTimeout(Math.max(0, Math.ceil(failsAt - performance.now())), undefined, { ref: false });
      throw new StrangerFetchError('The document could not be fetched.', { cause: error });
    }
  };
}
