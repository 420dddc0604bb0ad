import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';
import type { Fetched } from './safe-fetch.ts';

/** Documents of others, by URL: fetched, parsed and kept for a while. */
export interface Documents<Document> {
  /** The kept document while it is fresh, else a fetched one. @throws whatever fetching or parsing throws */
  get(url: string): Promise<Document>;
  /** Fetches it, whatever is kept. All who ask while that is under way share the one fetch. */
  load(url: string): Promise<Document>;
  isLoading(url: string): boolean;
  /** What is kept of it, fresh or not; nothing is kept for longer than the ceiling. */
  peek(url: string): { document: Document; isFresh: boolean } | undefined;
}

export interface DocumentsOptions<Document> {
  fetch: (url: string) => Promise<Fetched>;
  /** Throws where the document cannot be used: such a one is not kept. */
  parse: (text: string, url: string) => Document | Promise<Document>;
  clock: Clock;
  /** A document is fresh for so long, whatever its server says: it could have us ask at every turn. */
  floorSeconds: number;
  /** And not for longer than this: what its owner takes back must end at some time. */
  ceilingSeconds: number;
  /** How many are kept; the one that was not asked for the longest goes first. */
  max: number;
}

/** Failures are never kept: the next who asks may be luckier. */
export function createDocuments<Document>(options: DocumentsOptions<Document>): Documents<Document> {
  const { fetch, parse, clock, floorSeconds, ceilingSeconds } = options;
  const kept = new LRUCache<string, { document: Document; fetchedAt: number; freshSeconds: number }>({
    max: options.max,
  });
  const loading = new Map<string, Promise<Document>>();

  async function fetchAndKeep(url: string): Promise<Document> {
    const fetchedAt = clock();
    const { text, maxAgeSeconds = 0 } = await fetch(url);
    const document = await parse(text, url);
    kept.set(url, { document, fetchedAt, freshSeconds: Math.max(maxAgeSeconds, floorSeconds) });
    return document;
  }

  function load(url: string): Promise<Document> {
    const other = loading.get(url);
    if (other !== undefined) return other;
    const own = fetchAndKeep(url).finally(() => loading.delete(url));
    loading.set(url, own);
    return own;
  }

  function peek(url: string): { document: Document; isFresh: boolean } | undefined {
    const found = kept.get(url);
    if (found === undefined) return undefined;
    const ageSeconds = (clock() - found.fetchedAt) / 1000;
    if (ageSeconds >= ceilingSeconds) return undefined;
    return { document: found.document, isFresh: ageSeconds < found.freshSeconds };
  }

  return {
    load,
    peek,
    isLoading: (url) => loading.has(url),
    async get(url) {
      const found = peek(url);
      return found?.isFresh ? found.document : load(url);
    },
  };
}
