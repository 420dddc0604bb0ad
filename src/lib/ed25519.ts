import { createHash, createPublicKey, verify } from 'node:crypto';

/** Ed25519 keys of hosts and agents, as JWKs (RFC 8037): the only algorithm that the Agent Auth Protocol defines. */

/** A public key, identified by its thumbprint. Other members of the received JWK, such as `kid`, are unverified and dropped. */
export interface PublicKey {
  /** SHA-256 in base64url (RFC 7638). */
  thumbprint: string;
  /** The JWK as JSON, reduced to its required members. */
  jwk: string;
}

/** Why we do not accept a JWK. */
export type KeyFault = 'otherKind' | 'private' | 'malformed';

/** Reads a public key from a JWK. Computes the thumbprint (RFC 7638) and never takes one from the JWK. */
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

/** Verifies the signature of a token in compact form. @returns false also if the token or key is malformed */
export function verifyEd25519Signature(token: string, jwk: string): boolean {
  const dot = token.lastIndexOf('.');
  try {
    const key = createPublicKey({ key: JSON.parse(jwk), format: 'jwk' });
    const signature = Buffer.from(token.slice(dot + 1), 'base64url');
    return signature.length === 64 && verify(null, Buffer.from(token.slice(0, dot)), key, signature);
  } catch {
    return false;
  }
}
