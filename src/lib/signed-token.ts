import { type CryptoKey, compactVerify } from 'jose';
import { parseStrictJson } from './strict-json.ts';

/** Signed tokens of other parties, in compact form (RFC 7515 section 7.1). */

/** The content of a token whose signature has not been verified. */
export interface UnverifiedToken {
  header: Record<string, unknown>;
  claims: Record<string, unknown>;
}

/** The algorithms that we verify (S-89): each is one signature scheme with one key type. */
const ALGORITHMS = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'] as const;
/** An algorithm that we verify. */
export type Algorithm = (typeof ALGORITHMS)[number];

/** Reports whether a header's `alg` is one that we verify. */
export function isAlgorithm(alg: unknown): alg is Algorithm {
  return ALGORITHMS.some((known) => known === alg);
}

/**
 * Parses a token. Unused bits in base64url must be zero, so that a token has only one encoding.
 *
 * @throws Error if it is malformed, or its header has `crit` or `b64`. We know no extension, and `crit` forbids ignoring one
 * (RFC 7515 section 4.1.11). With `b64` (RFC 7797) the signature would cover other bytes than those we read.
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

/** Verifies the signature of a token in compact form. */
export async function verifySignature(token: string, key: CryptoKey, alg: Algorithm): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [alg] });
    return true;
  } catch {
    return false;
  }
}
