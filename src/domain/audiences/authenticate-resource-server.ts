import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { sameDigest } from '../../lib/hash.ts';
import { hashSecret, wellFormed } from '../../lib/secrets.ts';
import { findResourceServer } from '../../store/resource-servers.ts';
import { provenAt, type ResourceServer, toServer } from './resource-servers.ts';

/** Who proves to be a resource server. */

/**
 * The resource server with these credentials.
 *
 * @throws Failure `invalidClient`, the same for an unknown id and a wrong secret
 */
export async function authenticateResourceServer(
  deps: Pick<Deps, 'db'>,
  id: string,
  secret: string,
): Promise<ResourceServer> {
  const proven = provenAt(deps.db);
  const known = proven.get(`${id}:${secret}`);
  if (known !== undefined) return known;

  const row = wellFormed('rss', secret) ? await findResourceServer(deps.db, id) : undefined;
  if (row === undefined || row.removedAt !== null || !sameDigest(row.secretHash, hashSecret(secret))) {
    throw new Failure('invalidClient', 'The client_id or client_secret is wrong.');
  }
  const server = toServer(row);
  proven.set(`${id}:${secret}`, server);
  return server;
}
