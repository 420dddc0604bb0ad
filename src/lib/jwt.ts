import {
  CompactSign,
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
} from 'jose';

/** JWTs that we sign (RFC 7519), with ES256 only. */

const ALGORITHM = 'ES256';
/** How far the clocks of replicas may differ. */
const SKEW_SECONDS = 60;

/** A signing key pair, identified by the thumbprint of its public key (RFC 7638). */
export interface KeyPair {
  kid: string;
  /** As we publish it (RFC 7517), with `kid`, `alg` and `use`. */
  publicJwk: JWK;
  privateJwk: JWK;
}

/** Generates a signing key pair. */
export async function newKeyPair(): Promise<KeyPair> {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  return {
    kid,
    publicJwk: { ...publicJwk, kid, alg: ALGORITHM, use: 'sig' },
    privateJwk: await exportJWK(privateKey),
  };
}

/** Imports a private or public JWK for signing or verifying. */
export async function importKey(jwk: JWK): Promise<CryptoKey> {
  return (await importJWK(jwk, ALGORITHM)) as CryptoKey;
}

/**
 * Signs claims as a JWT.
 *
 * @param typ the token type: a verifier accepts only the type that it expects (RFC 8725 section 3.11)
 * @param claims times in epoch seconds (RFC 7519 section 2)
 */
export function signJwt(
  key: { kid: string; privateKey: CryptoKey },
  typ: string,
  claims: Record<string, unknown>,
): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: ALGORITHM, kid: key.kid, typ })
    .sign(key.privateKey);
}

/**
 * Verifies a JWT that we signed.
 *
 * @param findPublicKey returns the public key of a `kid`; undefined if it is not ours
 * @param expected.now epoch ms
 * @returns the claims; undefined if the signature, type, issuer, audience or lifetime is wrong
 */
export async function verifyJwt(
  token: string,
  findPublicKey: (kid: string) => Promise<CryptoKey | undefined>,
  expected: { typ: string; issuer: string; audience: string; now: number },
): Promise<Record<string, unknown> | undefined> {
  try {
    const { payload } = await jwtVerify(
      token,
      async ({ kid }) => {
        const key = kid === undefined ? undefined : await findPublicKey(kid);
        if (key === undefined) throw new Error('unknown kid');
        return key;
      },
      {
        algorithms: [ALGORITHM],
        typ: expected.typ,
        issuer: expected.issuer,
        audience: expected.audience,
        currentDate: new Date(expected.now),
        clockTolerance: SKEW_SECONDS,
        requiredClaims: ['exp', 'iat', 'sub', 'jti'],
      },
    );
    return payload;
  } catch {
    // The caller learns only that the token is not valid, not why.
    return undefined;
  }
}
