import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';
import type { Fetched } from './safe-fetch.ts';

/** A cache of documents that other servers publish, by URL. */
export interface Documents<Document> {
  /** Returns the cached document while it is fresh, else fetches it. @throws what `fetch` or `parse` throws */
  get(url: string): Promise<Document>;
  /** Fetches the document even if it is cached. Concurrent callers share one fetch. @throws what `fetch` or `parse` throws */
  load(url: string): Promise<Document>;
  /** Whether a fetch is in progress. */
  isLoading(url: string): boolean;
  /** Returns the cached document, fresh or stale; undefined if none is cached or it is older than the ceiling. */
  peek(url: string): { document: Document; isFresh: boolean } | undefined;
}

export interface DocumentsOptions<Document> {
  fetch: (url: string) => Promise<Fetched>;
  /** Throws if the document is unusable; it is not cached then. */
  parse: (text: string, url: string) => Document | Promise<Document>;
  clock: Clock;
  /** The shortest time that a document counts as fresh: else its server could make us fetch for every request. */
  floorSeconds: number;
  /** The oldest that a used document can be: it bounds how long we act on what its owner has withdrawn. */
  ceilingSeconds: number;
  /** How many documents are cached; the least recently used one is evicted. */
  max: number;
}

/** Creates a cache. Failures are not cached: the next call fetches again. */
export function createDocuments<Document>(options: DocumentsOptions<Document>): Documents<Document> {
  const { fetch, parse, clock, floorSeconds, ceilingSeconds } = options;
  const cache = new LRUCache<string, { document: Document; fetchedAt: number; freshSeconds: number }>({
    max: options.max,
  });
  const loading = new Map<string, Promise<Document>>();

  async function fetchAndCache(url: string): Promise<Document> {
    const fetchedAt = clock();
    const { text, maxAgeSeconds = 0 } = await fetch(url);
    const document = await parse(text, url);
    cache.set(url, { document, fetchedAt, freshSeconds: Math.max(maxAgeSeconds, floorSeconds) });
    return document;
  }

  function load(url: string): Promise<Document> {
    const running = loading.get(url);
    if (running !== undefined) return running;
    const started = fetchAndCache(url).finally(() => loading.delete(url));
    loading.set(url, started);
    return started;
  }

  function peek(url: string): { document: Document; isFresh: boolean } | undefined {
    const cached = cache.get(url);
    if (cached === undefined) return undefined;
    const ageSeconds = (clock() - cached.fetchedAt) / 1000;
    if (ageSeconds >= ceilingSeconds) return undefined;
    return { document: cached.document, isFresh: ageSeconds < cached.freshSeconds };
  }

  return {
    load,
    peek,
    isLoading: (url) => loading.has(url),
    async get(url) {
      const cached = peek(url);
      return cached?.isFresh ? cached.document : load(url);
    },
  };
}
