import type { AuthorizationServerClient } from './authorization-server-client.ts';

/**
 * The version of the authorization server from which on introspection says kind and form of every credential. It is in its
 * policy document.
 */
export const SAYS_KINDS = 2;

/** How long an older version counts, until it is asked again. */
const OLD_MS = 60_000;

/**
 * Creates a function that returns the version of the authorization server. It is asked when it is needed first.
 *
 * @throws VerificationError `unavailable` while it cannot be asked
 */
export function createServiceVersion(client: Pick<AuthorizationServerClient, 'get'>): () => Promise<number> {
  let known = 0;
  let until = Number.NEGATIVE_INFINITY;
  return async () => {
    if (known >= SAYS_KINDS || Date.now() < until) return known;
    const { version } = await client.get('/resource/policy');
    known = typeof version === 'number' ? version : 1;
    until = Date.now() + OLD_MS;
    return known;
  };
}
