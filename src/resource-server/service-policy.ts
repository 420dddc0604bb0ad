import type { AuthorizationServerClient } from './authorization-server-client.ts';
import type { KeyShape } from './credentials.ts';

/** What a verifier needs of the policy document of the authorization server. */
export interface ServicePolicy {
  version: number;
  /** How keys look there. */
  keys: readonly KeyShape[];
}

/**
 * The version of the authorization server from which on introspection says kind and form of every credential. It is in its
 * policy document.
 */
export const SAYS_KINDS = 2;

/** How long the document counts, until it is asked for again. */
const KNOWN_MS = 60_000;

/**
 * Creates a function that returns the policy document of the authorization server. It is asked for when it is needed first.
 *
 * @throws VerificationError `unavailable` while it cannot be asked
 */
export function createServicePolicy(
  client: Pick<AuthorizationServerClient, 'get'>,
): () => Promise<ServicePolicy> {
  let known: ServicePolicy = { version: 0, keys: [] };
  let until = Number.NEGATIVE_INFINITY;
  return async () => {
    if (Date.now() < until) return known;
    const { version, keys } = await client.get('/resource/policy');
    known = {
      version: typeof version === 'number' ? version : 1,
      keys: Array.isArray(keys) ? keys.filter(isKeyShape) : [],
    };
    until = Date.now() + KNOWN_MS;
    return known;
  };
}

function isKeyShape(shape: unknown): shape is KeyShape {
  if (typeof shape !== 'object' || shape === null) return false;
  const { prefix, form } = shape as Record<string, unknown>;
  return typeof prefix === 'string' && (form === 'checked' || form === 'bytes' || form === 'any');
}
