import { type CryptoKey, compactVerify } from 'jose';
import { parseStrictJson } from './strict-json.ts';

/** Signed tokens of others, in their compact form (RFC 7515 7.1). */

/** What a token says, before anybody has looked at its signature. */
export interface UnverifiedToken {
  header: Record<string, unknown>;
  claims: Record<string, unknown>;
}

/** The algorithms that we verify (S-89): each is one kind of signature with one kind of key. */
const ALGORITHMS = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export function isAlgorithm(alg: unknown): alg is Algorithm {
  return ALGORITHMS.some((known) => known === alg);
}

/**
 * Takes a token apart. Bits that mean nothing in base64url must be zero, so that one token has one spelling.
 *
 * @throws Error where it is no token, or one with extensions: we know none, and `crit` says not to guess (RFC 7515 4.1.11);
 * `b64` (RFC 7797) would have the signature be over other bytes than those we read.
 */
export function parseSignedToken(token: string): UnverifiedToken {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error('it has not three parts');
  const [header, claims] = parts.map(decodePart) as [Buffer, Buffer, Buffer];
  const parsed = { header: parseStrictJson(header), claims: parseStrictJson(claims) };
  if ('crit' in parsed.header || 'b64' in parsed.header) throw new Error('its header has extensions');
  return parsed;
}

function decodePart(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (part === '' || bytes.toString('base64url') !== part) throw new Error('a part is not base64url');
  return bytes;
}

/** Whether a token bears the signature of a key. */
export async function isSignedBy(token: string, key: CryptoKey, alg: Algorithm): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [alg] });
    return true;
  } catch {
    return false;
  }
}
