import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import type { JWK } from 'jose';
import { readPublicKey } from '../lib/ed25519.ts';
import { epochSeconds } from '../lib/time.ts';

/** The key that a profile signs with: it proves who asks, and who uses what was granted. */
export interface SessionKey {
  /** SHA-256 of the public key in base64url (RFC 7638). */
  thumbprint: string;
  privateJwk: JWK;
  publicJwk: { kty: 'OKP'; crv: 'Ed25519'; x: string };
}

/** The type of the tokens by which a session key speaks to the service. */
const KEY_TOKEN_TYPE = 'vouchsafe-key+jwt';
const KEY_TOKEN_SECONDS = 60;

/** Generates a session key. */
export function newSessionKey(): SessionKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { kty, crv, x, d } = privateKey.export({ format: 'jwk' }) as Record<string, string>;
  return readSessionKey({ kty, crv, x, d })!;
}

/** Reads a private JWK. @returns undefined if it is no Ed25519 key pair */
export function readSessionKey(value: unknown): SessionKey | undefined {
  const { kty, crv, x, d } = (value ?? {}) as Record<string, unknown>;
  const publicKey = readPublicKey({ kty, crv, x });
  if (typeof publicKey === 'string' || typeof d !== 'string') return undefined;
  const privateJwk = { kty, crv, x, d } as JWK;
  try {
    const key = createPublicKey(createPrivateKey({ key: privateJwk as never, format: 'jwk' }));
    if ((key.export({ format: 'jwk' }) as JWK).x !== x) return undefined;
  } catch {
    return undefined;
  }
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: x as string } as const;
  return { thumbprint: publicKey.thumbprint, privateJwk, publicJwk };
}

/**
 * Signs a token for one request to the service. It is valid for a minute, once.
 *
 * @param audience the URL of the request, to the letter
 * @param claims beside those of every such token
 */
export async function signKeyToken(
  key: SessionKey,
  audience: string,
  { now = Date.now(), claims = {} }: { now?: number; claims?: Record<string, unknown> } = {},
): Promise<string> {
  const issuedAt = epochSeconds(now);
  const content = {
    iss: key.thumbprint,
    sub: key.thumbprint,
    aud: audience,
    iat: issuedAt,
    exp: issuedAt + KEY_TOKEN_SECONDS,
    jti: randomUUID(),
    ...claims,
  };
  const { CompactSign, importJWK } = await import('jose');
  return new CompactSign(Buffer.from(JSON.stringify(content)))
    .setProtectedHeader({ alg: 'EdDSA', kid: key.thumbprint, typ: KEY_TOKEN_TYPE })
    .sign(await importJWK(key.privateJwk, 'EdDSA'));
}
