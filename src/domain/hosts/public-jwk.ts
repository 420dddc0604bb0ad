import { type PublicKey, readPublicKey } from '../../lib/ed25519.ts';
import { protocolError } from './protocol-errors.ts';

/**
 * Reads the public key of a host or an agent from a JWK.
 *
 * @throws Failure `protocolRefused`: `unsupported_algorithm`, `invalid_public_key`
 */
export function readPublicJwk(value: unknown): PublicKey {
  const key = readPublicKey(value);
  if (key === 'otherKind') {
    throw protocolError(
      'unsupported_algorithm',
      'Keys are Ed25519: {"kty":"OKP","crv":"Ed25519","x":"..."}.',
    );
  }
  if (typeof key === 'string') {
    throw protocolError(
      'invalid_public_key',
      'Send a public Ed25519 key as a JWK, without its private part.',
    );
  }
  return key;
}
