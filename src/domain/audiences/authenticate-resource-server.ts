import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { sameDigest } from '../../lib/hash.ts';
import { hashSecret, isWellFormedSecret } from '../../lib/secrets.ts';
import { findResourceServer } from '../../store/resource-servers.ts';
import { authenticatedServerCache, type ResourceServer, toResourceServer } from './resource-servers.ts';

/**
 * Authenticates a resource server by its client credentials (RFC 6749 section 2.3.1). A success is cached briefly.
 *
 * @param id `rs_…`, its client_id
 * @param secret `rss_…`, its client_secret
 *
 * @throws Failure `invalidClient`, the same for an unknown id and a wrong secret
 */
export async function authenticateResourceServer(
  deps: Pick<Deps, 'db'>,
  id: string,
  secret: string,
): Promise<ResourceServer> {
  const cache = authenticatedServerCache(deps.db);
  const cached = cache.get(`${id}:${secret}`);
  if (cached !== undefined) return cached;

  const row = isWellFormedSecret('rss', secret) ? await findResourceServer(deps.db, id) : undefined;
  if (row === undefined || row.removedAt !== null || !sameDigest(row.secretHash, hashSecret(secret))) {
    throw new Failure('invalidClient', 'The client_id or client_secret is wrong.');
  }
  const server = toResourceServer(row);
  cache.set(`${id}:${secret}`, server);
  return server;
}
