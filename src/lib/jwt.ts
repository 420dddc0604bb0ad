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

/** Signed tokens of our own (RFC 7519): ES256, and no other algorithm. */

const ALGORITHM = 'ES256';
/** Clocks of replicas may differ by so much. */
const SKEW_SECONDS = 60;

/** A pair of keys to sign with, named by the thumbprint of the public one (RFC 7638). */
export interface KeyPair {
  kid: string;
  /** With `kid`, `alg` and `use`, as it is published (RFC 7517). */
  publicJwk: JWK;
  privateJwk: JWK;
}

/** Makes a pair of keys. */
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

/** A JWK, private or public, as what signs or verifies. */
export async function importKey(jwk: JWK): Promise<CryptoKey> {
  return (await importJWK(jwk, ALGORITHM)) as CryptoKey;
}

/**
 * Signs claims.
 *
 * @param typ what kind of token it is: who verifies it asks for one kind alone (RFC 8725 3.11)
 * @param claims times in seconds (RFC 7519 2)
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
 * The claims of a token that we signed, or undefined if we did not, or it is of another kind, for somebody else, or over.
 *
 * @param keyOf the public key of a kid, if it is one of ours
 * @param expected.now epoch ms
 */
export async function verifyJwt(
  token: string,
  keyOf: (kid: string) => Promise<CryptoKey | undefined>,
  expected: { typ: string; issuer: string; audience: string; now: number },
): Promise<Record<string, unknown> | undefined> {
  try {
    const { payload } = await jwtVerify(
      token,
      async ({ kid }) => {
        const key = kid === undefined ? undefined : await keyOf(kid);
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
    // Everything that is wrong with it is one and the same to whoever presents it.
    return undefined;
  }
}
