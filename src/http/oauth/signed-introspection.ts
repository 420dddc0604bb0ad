import type { Deps } from '../../deps.ts';
import type { ResourceServer } from '../../domain/audiences/resource-servers.ts';
import { signOwnToken } from '../../domain/credentials/signing-keys.ts';
import { epochSeconds } from '../../lib/time.ts';
import type { HandlerResult } from '../server/table.ts';

/** Introspection responses that this service signs, so that a resource server can prove later what it was told (RFC 9701). */

const MEDIA_TYPE = 'application/token-introspection+jwt';

/** Whether a resource server asks for a signed response: its Accept header names the media type. */
export function wantsSignedResponse(accept: string | undefined): boolean {
  return (accept ?? '').split(',').some((each) => each.split(';')[0]!.trim().toLowerCase() === MEDIA_TYPE);
}

/**
 * Signs an introspection response (RFC 9701 section 5). Neither `sub` nor `exp` stand beside it, so that it can be taken
 * for no access token.
 *
 * @param response as it is without a signature
 */
export async function signIntrospection(
  deps: Deps,
  server: ResourceServer,
  response: object,
): Promise<HandlerResult> {
  const text = await signOwnToken(deps, 'token-introspection+jwt', {
    iss: deps.config.publicUrl,
    aud: server.id,
    iat: epochSeconds(deps.clock()),
    token_introspection: response,
  });
  return { type: MEDIA_TYPE, text };
}
