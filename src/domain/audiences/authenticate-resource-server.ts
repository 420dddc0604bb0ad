import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { sameDigest } from '../../lib/hash.ts';
import { hashSecret, isWellFormedSecret } from '../../lib/secrets.ts';
import { findResourceServer, type ResourceServerRow } from '../../store/resource-servers.ts';
import { authenticatedServerCache, type ResourceServer, toResourceServer } from './resource-servers.ts';

/**
 * Authenticates a resource server by its client credentials (RFC 6749 section 2.3.1), and notes that it was seen. A
 * success is cached briefly.
 *
 * @param id `rs_…`, its client_id
 * @param secret `rss_…`, its client_secret; also the one before, until the overlap of a rotation ends
 *
 * @throws Failure `invalidClient`, the same for an unknown id and a wrong secret
 */
export async function authenticateResourceServer(
  deps: Pick<Deps, 'db' | 'clock' | 'noteResourceServer'>,
  id: string,
  secret: string,
): Promise<ResourceServer> {
  const now = deps.clock();
  const cache = authenticatedServerCache(deps.db);
  const cached = cache.get(`${id}:${secret}`);
  if (cached !== undefined && cached.endsAt > now) {
    deps.noteResourceServer(id, now, false);
    return cached.server;
  }

  const row = isWellFormedSecret('rss', secret) ? await findResourceServer(deps.db, id) : undefined;
  const endsAt = row === undefined || row.removedAt !== null ? 0 : secretEndOf(row, hashSecret(secret));
  if (endsAt <= now) throw new Failure('invalidClient', 'The client_id or client_secret is wrong.');
  const server = toResourceServer(row!);
  cache.set(`${id}:${secret}`, { server, endsAt });
  deps.noteResourceServer(id, now, false);
  return server;
}

/** Returns when a secret ends: in no foreseeable time if it is the current one, 0 if it is none of the two. */
function secretEndOf(row: ResourceServerRow, hash: Buffer): number {
  // Both are compared, so that the time it takes tells nothing of which one it was.
  const isCurrent = sameDigest(row.secretHash, hash);
  const isPrevious = row.previousSecretHash !== null && sameDigest(row.previousSecretHash, hash);
  if (isCurrent) return Number.POSITIVE_INFINITY;
  return isPrevious ? (row.previousEndsAt ?? 0) : 0;
}
