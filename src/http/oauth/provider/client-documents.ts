import {
  fetchForClient,
  findClientOfDocument,
  isDocumentUrl,
} from '../../../domain/apps/client-documents.ts';
import { findClient, type OAuthClient } from '../../../domain/apps/clients.ts';
import { Failure } from '../../../errors.ts';
import { isFault, normalizeClientDocument } from './client-metadata.ts';
import { currentExchange, type Exchange } from './exchange.ts';

/** Documents that clients publish: their metadata and their keys. */

/** How long keys are used without being fetched again, at most: one that was withdrawn works no longer. */
const KEYS_FRESH_MAX_SECONDS = 3600;

/** Finds a client by its id, which may be the URL of its metadata. @throws Failure `limited` */
export function findClientOrDocument(
  { deps, origin }: Pick<Exchange, 'deps' | 'origin'>,
  id: string,
): Promise<OAuthClient | undefined> {
  if (!isDocumentUrl(id)) return findClient(deps, id);
  return findClientOfDocument(deps, origin, id, (published) => {
    const metadata = normalizeClientDocument(deps.config, id, published);
    if (isFault(metadata)) throw new Error(metadata.error_description);
    return metadata;
  });
}

/** Fetches the `jwks_uri` of a client for oidc-provider, which fetches nothing else. */
export async function fetchKeys(url: string | URL | Request): Promise<Response> {
  const exchange = currentExchange();
  try {
    return await fetchForClient(exchange.deps, exchange.origin, String(url), {
      holdsKeys: true,
      parse({ text, maxAgeSeconds = 0 }) {
        const maxAge = Math.min(maxAgeSeconds, KEYS_FRESH_MAX_SECONDS);
        return new Response(text, { headers: { 'Cache-Control': `max-age=${maxAge}` } });
      },
    });
  } catch (error) {
    // oidc-provider would answer a limit as a wrong client.
    if (error instanceof Failure) exchange.error ??= error;
    throw error;
  }
}
