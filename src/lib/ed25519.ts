import { createHash, createPublicKey, verify } from 'node:crypto';

/** Ed25519 keys of others, as JWKs (RFC 8037): the only kind that the Agent Auth Protocol has. */

/** A public key, named by its thumbprint. What else stood in its JWK, a `kid` above all, was somebody's claim. */
export interface PublicKey {
  thumbprint: string;
  /** JSON of the JWK, its required members alone. */
  jwk: string;
}

/** Why a JWK is no key of ours to take. */
export type KeyFault = 'otherKind' | 'private' | 'malformed';

/** Reads a JWK. The thumbprint is computed and never read (RFC 7638). */
export function readPublicKey(value: unknown): PublicKey | KeyFault {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'malformed';
  const { kty, crv, x, alg, d } = value as Record<string, unknown>;
  if (kty !== 'OKP' || crv !== 'Ed25519' || (alg !== undefined && alg !== 'EdDSA')) return 'otherKind';
  if (d !== undefined) return 'private';
  if (typeof x !== 'string' || !/^[\w-]{43}$/.test(x)) return 'malformed';
  if (Buffer.from(x, 'base64url').toString('base64url') !== x) return 'malformed';
  const jwk = JSON.stringify({ crv, kty, x });
  return { thumbprint: createHash('sha256').update(jwk).digest('base64url'), jwk };
}

/** Whether a token in compact form bears the signature of a key. */
export function isSignedWith(token: string, jwk: string): boolean {
  const dot = token.lastIndexOf('.');
  try {
    const key = createPublicKey({ key: JSON.parse(jwk), format: 'jwk' });
    const signature = Buffer.from(token.slice(dot + 1), 'base64url');
    return signature.length === 64 && verify(null, Buffer.from(token.slice(0, dot)), key, signature);
  } catch {
    return false;
  }
}
