import type { CryptoKey, JWK, KeyObject } from 'jose';
import { parseStrictJson } from '../strict-json.ts';
import { AuthError } from './auth-error.ts';
import { type CanonicalValue, canonicalJson } from './canonical-json.ts';

/**
 * Signatures of artifacts: compact JWS with a detached payload (RFC 7515 appendix F), `header..signature`. What is signed is the
 * canonical form of the object without its `proof`.
 */

/** The header of a proof. */
export interface ProofHeader {
  alg: 'EdDSA' | 'ES256';
  /** The thumbprint of the key (RFC 7638), or its id in the key set of the service. */
  kid: string;
  typ: string;
}

/** A key to sign or verify with. */
export type ProofKey = CryptoKey | KeyObject | JWK;

/** Signs an object. @param object without `proof`; a `proof` that it has is not signed */
export async function signProof(object: object, header: ProofHeader, key: ProofKey): Promise<string> {
  const { alg, kid, typ } = header;
  const { CompactSign } = await loadJose();
  const token = await new CompactSign(payloadOf(object))
    .setProtectedHeader({ alg, kid, typ })
    .sign(await imported(key, alg));
  const [head, , signature] = token.split('.');
  return `${head}..${signature}`;
}

/**
 * Verifies the proof of an object.
 *
 * @param expected what the header must say, to the letter and nothing beside it
 * @throws AuthError `SIGNATURE_INVALID`
 */
export async function verifyProof(
  object: object & { proof: string },
  expected: ProofHeader,
  key: ProofKey,
): Promise<void> {
  const header = readProofHeader(object.proof);
  if (header.alg !== expected.alg || header.kid !== expected.kid || header.typ !== expected.typ) {
    throw signatureInvalid();
  }
  const [head, , signature] = object.proof.split('.') as [string, string, string];
  const { compactVerify } = await loadJose();
  try {
    const payload = payloadOf(object).toString('base64url');
    await compactVerify(`${head}.${payload}.${signature}`, await imported(key, expected.alg), {
      algorithms: [expected.alg],
    });
  } catch {
    throw signatureInvalid();
  }
}

/**
 * Reads the header of a proof, without verifying it. Members beside `alg`, `kid` and `typ` refuse it: `crit` and `b64` change
 * what is signed, `jwk`, `jku` and `x5u` name a key of the sender's own choice.
 *
 * @throws AuthError `SIGNATURE_INVALID`
 */
export function readProofHeader(proof: string): ProofHeader {
  const [head = '', payload, signature = '', ...more] = proof.split('.');
  if (payload !== '' || more.length > 0 || !isBase64url(head) || !isBase64url(signature)) {
    throw signatureInvalid();
  }
  let header: Record<string, unknown>;
  try {
    header = parseStrictJson(Buffer.from(head, 'base64url'));
  } catch {
    throw signatureInvalid();
  }
  const { alg, kid, typ, ...others } = header;
  const isKnown = (alg === 'EdDSA' || alg === 'ES256') && typeof kid === 'string' && typeof typ === 'string';
  if (!isKnown || Object.keys(others).length > 0) throw signatureInvalid();
  return { alg, kid, typ };
}

/** Creates the error for a proof that does not fit. It does not say which part: one answer for all. */
export function signatureInvalid(message = 'The signature does not fit the content.'): AuthError {
  return new AuthError('SIGNATURE_INVALID', message, {
    hint: 'The file was changed, or signed by another key. Ask for a new one.',
  });
}

function payloadOf(object: object): Buffer {
  const { proof, ...signed } = object as { proof?: unknown };
  return Buffer.from(canonicalJson(signed as CanonicalValue));
}

async function imported(key: ProofKey, alg: ProofHeader['alg']): Promise<CryptoKey | KeyObject> {
  const { importJWK } = await loadJose();
  return 'kty' in key ? ((await importJWK(key as JWK, alg)) as CryptoKey) : (key as CryptoKey | KeyObject);
}

/** Loaded where something is signed or verified: what is no artifact is refused in half the time. */
function loadJose() {
  return import('jose');
}

/** Unused bits must be zero, so that a proof has one spelling only. */
function isBase64url(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
}
