import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { calculateJwkThumbprint, EmbeddedJWK, type JWTPayload, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { invalidProof, invalidToken, useNonce } from './errors.ts';

/** Proofs that the holder of a token has the key that the token is bound to (DPoP, RFC 9449). */

/** What a client sends beside a bound token, and the request that it is for. */
export interface PresentedProof {
  /** The value of the header `DPoP`; undefined: it is missing, or there is more than one. */
  proof: string | undefined;
  /** The method of the request. */
  method: string;
  /** The URL or the target of the request. Its path counts: the origin is that of the resource. */
  url: string;
}

/** The algorithms that proofs may be signed by. */
export const PROOF_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA'] as const;

/** How far the time of a proof may be from ours. */
const WINDOW_SECONDS = 300;
/** How many proofs are remembered, so that none is used twice. */
const REMEMBERED_MAX = 100_000;
const PROOF_LENGTH_MAX = 8192;
const JTI_LENGTH_MAX = 256;
/** How long a nonce is given out. It is taken for as long again. */
const NONCE_SECONDS = 60;

/**
 * Creates the function that checks proofs (RFC 9449 section 4.3).
 *
 * @param resource the URL of this resource server
 * @param nonceSecret with it, proofs must carry a nonce of ours, so that none can be made in advance; replicas share it
 */
export function createProofCheck(resource: string, nonceSecret: string | undefined) {
  const { origin } = new URL(resource);
  const used = new LRUCache<string, true>({ max: REMEMBERED_MAX, ttl: 2 * WINDOW_SECONDS * 1000 });
  const nonces = nonceSecret === undefined ? undefined : createNonces(nonceSecret);

  /**
   * Checks the proof of a request.
   *
   * @param keyThumbprint of the key that the token is bound to; undefined: it is bound to none
   * @param presented undefined: the token was presented as a bearer token
   * @throws VerificationError `invalid_token`, `invalid_dpop_proof`, `use_dpop_nonce`
   */
  return async (
    token: string,
    keyThumbprint: string | undefined,
    presented: PresentedProof | undefined,
  ): Promise<void> => {
    if (keyThumbprint === undefined && presented === undefined) return;
    // A bound token is no bearer token, and a bearer token needs no proof (RFC 9449 section 7.1).
    if (keyThumbprint === undefined || presented === undefined) throw invalidToken();
    const { payload, thumbprint } = await readProof(presented.proof);
    if (thumbprint !== keyThumbprint) throw invalidToken();
    const { jti, iat, htm, htu, ath, nonce } = payload as JWTPayload & Record<string, unknown>;
    const isFor =
      htm === presented.method &&
      normalizeUrl(htu) === normalizeUrl(origin + pathOf(presented.url)) &&
      ath === hash('sha256', token, 'base64url');
    if (!isFor) throw invalidProof('The proof is for another request: see "htm", "htu" and "ath".');
    const age = Math.abs(Date.now() / 1000 - (typeof iat === 'number' ? iat : 0));
    if (!(age <= WINDOW_SECONDS)) throw invalidProof('The proof is not recent: see "iat".');
    if (typeof jti !== 'string' || jti === '' || jti.length > JTI_LENGTH_MAX) {
      throw invalidProof('The proof has no "jti", or a long one.');
    }
    if (nonces !== undefined && !nonces.isCurrent(nonce)) throw useNonce(nonces.current());
    const key = hash('sha256', `${thumbprint} ${jti}`, 'base64url');
    if (used.has(key)) throw invalidProof('The proof was used before.');
    used.set(key, true);
  };
}

async function readProof(proof: string | undefined): Promise<{ payload: JWTPayload; thumbprint: string }> {
  if (proof === undefined || proof.length > PROOF_LENGTH_MAX) {
    throw invalidProof('A token that is bound to a key needs one proof, in the header DPoP.');
  }
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...PROOF_ALGORITHMS],
      clockTolerance: WINDOW_SECONDS,
    });
    return { payload, thumbprint: await calculateJwkThumbprint(protectedHeader.jwk!) };
  } catch (cause) {
    throw invalidProof('The proof is not a signed JWT of the type dpop+jwt.', cause);
  }
}

function pathOf(url: string): string {
  return url.startsWith('/') ? url.split(/[?#]/, 1)[0]! : new URL(url).pathname;
}

/** Removes query and fragment (RFC 9449 section 4.3). @returns undefined for what is no URL */
function normalizeUrl(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  parsed.search = '';
  parsed.hash = '';
  return parsed.href;
}

function createNonces(secret: string) {
  const nonceOf = (period: number) =>
    createHmac('sha256', secret).update(`dpop-nonce ${period}`).digest('base64url');
  const now = () => Math.floor(Date.now() / 1000 / NONCE_SECONDS);
  return {
    current: () => nonceOf(now()),
    isCurrent: (nonce: unknown) =>
      typeof nonce === 'string' && [now(), now() - 1].some((period) => isSame(nonceOf(period), nonce)),
  };
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
