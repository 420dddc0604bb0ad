import type { Deps } from '../../deps.ts';
import { findHostedSigner } from '../../domain/hosts/find-hosted-signer.ts';
import { type SigningKey, verifyKeyToken } from '../../domain/permissions/key-holders.ts';
import { Failure } from '../../errors.ts';
import type { RequestOrigin } from '../../work.ts';

/**
 * Verifies the signed bearer token of a session key.
 *
 * @param header the Authorization header
 * @param path of the request: a token is for exactly one URL
 * @throws Failure `unauthenticated`, `invalidToken`
 */
export async function authenticateSessionKey(
  deps: Deps,
  origin: RequestOrigin,
  header: string | undefined,
  path: string,
): Promise<SigningKey> {
  const token = /^Bearer +([\w.-]+) *$/i.exec(header ?? '')?.[1];
  if (token === undefined) {
    throw new Failure(
      'unauthenticated',
      'Sign the request with a session key: "Authorization: Bearer <token>", for exactly this URL.',
    );
  }
  return verifyKeyToken(deps, origin, token, deps.config.publicUrl + path, (thumbprint) =>
    findHostedSigner(deps, thumbprint),
  );
}
