import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { StrangerFetchError, TooManyFetches } from '../../lib/stranger-fetch.ts';
import { parseStrictJson } from '../../lib/strict-json.ts';
import { findOAuthClient, updateOAuthClientFresh } from '../../store/oauth-clients.ts';
import type { RequestOrigin } from '../../work.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { findClient, type OAuthClient, saveClient } from './clients.ts';

/** Clients that publish their metadata at their client id (draft-ietf-oauth-client-id-metadata-document). */

/** How long a document counts as fresh, at least: else its server could make us fetch for every request. */
const FRESH_MIN_SECONDS = 60;
/** And at most: it bounds how long a client goes on as it was after it changed. */
const FRESH_MAX_SECONDS = 86_400;
/** How long a document that was fresh counts while its server does not answer. */
const STALE_MS = 86_400_000;

type ClientMetadata = Record<string, unknown>;

/** Whether a client id is the URL of a document: ids that we make never begin so. */
export function isDocumentUrl(clientId: string): boolean {
  return clientId.startsWith('https://');
}

/** The documents that each process is fetching, by URL. */
const loadings = new WeakMap<Deps['db'], Map<string, Promise<void>>>();

/**
 * Finds the client that publishes a document, and fetches the document unless the one of an earlier request is fresh.
 * While it cannot be had, the client stays as it was for a day.
 *
 * @param normalize makes metadata of what is published; throws an Error if it cannot be used
 * @returns undefined if there is no such document, or the client was ended here
 * @throws Failure `limited` if too many documents are fetched
 */
export async function findClientOfDocument(
  deps: Deps,
  origin: RequestOrigin,
  url: string,
  normalize: (published: ClientMetadata) => ClientMetadata,
): Promise<OAuthClient | undefined> {
  const loading = loadings.get(deps.db) ?? new Map<string, Promise<void>>();
  loadings.set(deps.db, loading);
  for (;;) {
    const known = await findOAuthClient(deps.db, url);
    const freshUntil = known?.freshUntil ?? Number.NEGATIVE_INFINITY;
    const running = loading.get(url);
    if (known?.endedAt != null || known?.suspendedAt != null || freshUntil > deps.clock()) break;
    if (running !== undefined) {
      await running.catch(() => {}); // whoever waits starts over: the failure may be about the other caller
      continue;
    }
    const started = loadDocument(deps, origin, url, normalize).finally(() => loading.delete(url));
    loading.set(url, started);
    try {
      await started;
    } catch (error) {
      if (!(error instanceof StrangerFetchError)) throw error;
      deps.log.info({ err: error, url }, 'the document of an OAuth client cannot be used');
      if (freshUntil + STALE_MS <= deps.clock()) return undefined;
    }
    break;
  }
  return findClient(deps, url);
}

async function loadDocument(
  deps: Deps,
  origin: RequestOrigin,
  url: string,
  normalize: (published: ClientMetadata) => ClientMetadata,
): Promise<void> {
  const { metadata, seconds } = await fetchForClient(deps, origin, url, {
    parse: ({ text, maxAgeSeconds = 0 }) => ({
      metadata: normalize(parseStrictJson(Buffer.from(text))),
      seconds: Math.min(FRESH_MAX_SECONDS, Math.max(FRESH_MIN_SECONDS, maxAgeSeconds)),
    }),
  });
  await useCase(deps, origin, {}, async (work) => {
    await saveClient(work, { id: url, origin: 'document', metadata, secret: undefined });
    await updateOAuthClientFresh(work.tx, url, work.now + seconds * 1000);
  });
}

/**
 * Fetches what a client that nobody here knows publishes.
 *
 * @throws Failure `limited`; StrangerFetchError
 */
export async function fetchForClient<Value>(
  deps: Deps,
  origin: RequestOrigin,
  url: string,
  options: Omit<Parameters<typeof deps.fetchFromStranger<Value>>[1], 'admit'>,
): Promise<Value> {
  const host = URL.canParse(url) ? new URL(url).host : '';
  const admit = () =>
    useCase(deps, origin, {}, (work) =>
      consumeLimits(work, [
        { name: 'documentsPerIp', key: origin.address.limitKey },
        { name: 'documentsPerHost', key: host },
      ]),
    );
  try {
    return await deps.fetchFromStranger<Value>(url, { ...options, admit });
  } catch (error) {
    if (error instanceof TooManyFetches) {
      throw new Failure('limited', error.message, { retryAfterSeconds: 3 });
    }
    throw error;
  }
}
