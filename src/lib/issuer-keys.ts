import { type CryptoKey, importJWK, type JWK } from 'jose';
import type { Clock } from './clock.ts';
import { createDocuments } from './documents.ts';
import type { Fetched } from './safe-fetch.ts';
import { type Algorithm, isAlgorithm } from './signed-token.ts';

/** The keys that an issuer signs with, as it publishes them (RFC 7517 5). */
export interface IssuerKeys {
  /**
   * The key that a token's header names. Only `kid` and `alg` are looked at: what else a header says of keys (`jwk`, `jku`,
   * `x5u`, `x5c`) was written by whoever made the token (S-90).
   *
   * @throws Error when the keys cannot be had
   */
  keyFor(header: Record<string, unknown>): Promise<FoundKey>;
}

/** `misfit`: there is such a key, but it is for another algorithm. */
export type FoundKey = { kind: 'found'; key: CryptoKey } | { kind: 'unknown' } | { kind: 'misfit' };

interface UsableKey {
  alg: Algorithm;
  key: CryptoKey;
}
type KeySet = Map<string, UsableKey[]>;

const KID_LENGTH_MAX = 128;
const RSA_BITS_MIN = 2048;
const FRESH = { floorSeconds: 600, ceilingSeconds: 86_400 };
/** How long nothing is fetched for a `kid` that the kept set has not: anybody can invent those. */
const UNKNOWN_KID_PAUSE_MS = 60_000;
/** How long nothing is fetched after a failure while nothing is kept. */
const FAILURE_PAUSE_MS = 10_000;
const SETS_MAX = 1000;

/**
 * The key sets of issuers, by where they are. Kept as long as their server says, between ten minutes and a day; while that
 * server is down they serve on to the end of the day.
 */
export function createIssuerKeys(
  fetch: (jwksUri: string) => Promise<Fetched>,
  clock: Clock,
): (jwksUri: string) => IssuerKeys {
  const sets = createDocuments<KeySet>({ fetch, parse: parseKeySet, clock, ...FRESH, max: SETS_MAX });
  const tries = new Map<string, { at: number; failure?: unknown }>();

  /** A newer set, or undefined if one was fetched just now. @throws what went wrong, now or just now */
  async function renew(jwksUri: string, pauseMs: number): Promise<KeySet | undefined> {
    if (sets.isLoading(jwksUri)) return sets.load(jwksUri);
    const last = tries.get(jwksUri);
    if (last !== undefined && Math.abs(clock() - last.at) < pauseMs) {
      if (last.failure !== undefined) throw last.failure;
      return undefined;
    }
    const own: { at: number; failure?: unknown } = { at: clock() };
    tries.set(jwksUri, own);
    try {
      return await sets.load(jwksUri);
    } catch (error) {
      own.failure = error;
      throw error;
    }
  }

  async function keyFor(jwksUri: string, header: Record<string, unknown>): Promise<FoundKey> {
    const { kid, alg } = header;
    if (typeof kid !== 'string' || kid.length > KID_LENGTH_MAX) return { kind: 'unknown' };
    const kept = sets.peek(jwksUri);
    const found = kept === undefined ? undefined : find(kept.document, kid, alg);
    if (kept?.isFresh && found?.kind !== 'unknown') return found!;
    try {
      const newer = await renew(jwksUri, kept === undefined ? FAILURE_PAUSE_MS : UNKNOWN_KID_PAUSE_MS);
      if (newer !== undefined) return find(newer, kid, alg);
    } catch (error) {
      if (found === undefined || found.kind === 'unknown') throw error;
    }
    return found ?? { kind: 'unknown' };
  }

  return (jwksUri) => ({ keyFor: (header) => keyFor(jwksUri, header) });
}

function find(set: KeySet, kid: string, alg: unknown): FoundKey {
  const named = set.get(kid);
  if (named === undefined) return { kind: 'unknown' };
  const fitting = named.find((each) => each.alg === alg);
  return fitting === undefined ? { kind: 'misfit' } : { kind: 'found', key: fitting.key };
}

/** Keys that we cannot or should not use are passed over: a set may hold some for other purposes. */
async function parseKeySet(text: string): Promise<KeySet> {
  const set: KeySet = new Map();
  for (const jwk of readKeys(text)) {
    const { kid } = jwk;
    const usable = await importUsable(jwk);
    if (typeof kid !== 'string' || usable === undefined) continue;
    set.set(kid, [...(set.get(kid) ?? []), usable]);
  }
  return set;
}

function readKeys(text: string): JWK[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message repeats what it read.
    throw new Error('the key set is not JSON');
  }
  const keys = (value as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw new Error('the key set has no keys');
  return keys.filter((key) => typeof key === 'object' && key !== null);
}

async function importUsable(jwk: JWK): Promise<UsableKey | undefined> {
  const alg = algorithmOf(jwk);
  if (alg === undefined || (jwk.use !== undefined && jwk.use !== 'sig')) return undefined;
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) {
    return undefined;
  }
  if ('d' in jwk) return undefined; // published with its private half: anybody signs with it
  try {
    const { kty, crv, x, y, n, e } = jwk;
    const key = (await importJWK({ kty, crv, x, y, n, e } as JWK, alg)) as CryptoKey;
    const { modulusLength = RSA_BITS_MIN } = key.algorithm as { modulusLength?: number };
    return modulusLength < RSA_BITS_MIN ? undefined : { alg, key };
  } catch {
    return undefined;
  }
}

/** The one algorithm that a key is for (RFC 8725 3.1), so that no header can choose another. */
function algorithmOf(jwk: JWK): Algorithm | undefined {
  const possible = possibleAlgorithms(jwk);
  if (jwk.alg === undefined) return possible[0];
  return isAlgorithm(jwk.alg) && possible.includes(jwk.alg) ? jwk.alg : undefined;
}

function possibleAlgorithms({ kty, crv }: JWK): Algorithm[] {
  if (kty === 'EC' && crv === 'P-256') return ['ES256'];
  if (kty === 'EC' && crv === 'P-384') return ['ES384'];
  if (kty === 'OKP' && crv === 'Ed25519') return ['EdDSA'];
  if (kty === 'RSA') return ['RS256', 'PS256'];
  return [];
}
