import { type CryptoKey, importJWK, type JWK } from 'jose';
import type { Clock } from './clock.ts';
import { createDocuments } from './documents.ts';
import type { Fetched } from './safe-fetch.ts';
import { type Algorithm, isAlgorithm } from './signed-token.ts';

/** The keys that an issuer signs with, from the JWK Set that it publishes (RFC 7517 section 5). */
export interface IssuerKeys {
  /**
   * Finds the key that a token's header names by `kid` and `alg`. Ignores other key parameters (`jwk`, `jku`, `x5u`, `x5c`):
   * the author of the token chose those (S-90).
   *
   * @throws Error if the key set is unavailable
   */
  keyFor(header: Record<string, unknown>): Promise<FoundKey>;
  /** Returns the last time that this process fetched the set; undefined: not since its start. */
  lastFetch(): KeySetFetch | undefined;
}

/** A fetch of a key set. */
export interface KeySetFetch {
  /** Epoch ms. */
  at: number;
  /** The error with which it failed; undefined: it succeeded. */
  failure: unknown;
}

/** The result of a lookup. `misfit`: a key has this `kid`, but is for another algorithm. */
export type FoundKey = { kind: 'found'; key: CryptoKey } | { kind: 'unknown' } | { kind: 'misfit' };

interface UsableKey {
  alg: Algorithm;
  key: CryptoKey;
}
type KeySet = Map<string, UsableKey[]>;

const KID_LENGTH_MAX = 128;
const RSA_BITS_MIN = 2048;
const FRESH = { floorSeconds: 600, ceilingSeconds: 86_400 };
/** The shortest time between two fetches while a set is cached: anybody can invent a `kid` that it lacks. */
const UNKNOWN_KID_PAUSE_MS = 60_000;
/** The shortest time between two fetches while no set is cached, because fetching fails. */
const FAILURE_PAUSE_MS = 10_000;
const SETS_MAX = 1000;

/**
 * Creates a cache of key sets, by `jwks_uri`. A set is fresh for as long as its server says, but for ten minutes at least and
 * a day at most. While the server is down, a stale set is used until it is a day old.
 */
export function createIssuerKeys(
  fetch: (jwksUri: string) => Promise<Fetched>,
  clock: Clock,
): (jwksUri: string) => IssuerKeys {
  const sets = createDocuments<KeySet>({ fetch, parse: parseKeySet, clock, ...FRESH, max: SETS_MAX });
  const lastAttempts = new Map<string, KeySetFetch>();

  /**
   * Fetches the set again.
   *
   * @returns undefined if a fetch succeeded within the last `pauseMs`
   * @throws the error of this fetch, or of one that failed within the last `pauseMs`
   */
  async function renew(jwksUri: string, pauseMs: number): Promise<KeySet | undefined> {
    if (sets.isLoading(jwksUri)) return sets.load(jwksUri);
    const last = lastAttempts.get(jwksUri);
    if (last !== undefined && Math.abs(clock() - last.at) < pauseMs) {
      if (last.failure !== undefined) throw last.failure;
      return undefined;
    }
    const attempt: KeySetFetch = { at: clock(), failure: undefined };
    lastAttempts.set(jwksUri, attempt);
    try {
      return await sets.load(jwksUri);
    } catch (error) {
      attempt.failure = error;
      throw error;
    }
  }

  async function keyFor(jwksUri: string, header: Record<string, unknown>): Promise<FoundKey> {
    const { kid, alg } = header;
    if (typeof kid !== 'string' || kid.length > KID_LENGTH_MAX) return { kind: 'unknown' };
    const cached = sets.peek(jwksUri);
    const found = cached === undefined ? undefined : findKey(cached.document, kid, alg);
    if (cached?.isFresh && found?.kind !== 'unknown') return found!;
    try {
      const newer = await renew(jwksUri, cached === undefined ? FAILURE_PAUSE_MS : UNKNOWN_KID_PAUSE_MS);
      if (newer !== undefined) return findKey(newer, kid, alg);
    } catch (error) {
      if (found === undefined || found.kind === 'unknown') throw error;
    }
    return found ?? { kind: 'unknown' };
  }

  return (jwksUri) => ({
    keyFor: (header) => keyFor(jwksUri, header),
    lastFetch: () => lastAttempts.get(jwksUri),
  });
}

function findKey(set: KeySet, kid: string, alg: unknown): FoundKey {
  const named = set.get(kid);
  if (named === undefined) return { kind: 'unknown' };
  const matching = named.find((each) => each.alg === alg);
  return matching === undefined ? { kind: 'misfit' } : { kind: 'found', key: matching.key };
}

/** Parses a JWK Set. Skips keys that we cannot or should not use: a set may hold keys for other purposes. */
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
    // The message of JSON.parse quotes its input.
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
  if ('d' in jwk) return undefined; // the private key is published: anybody can sign with it
  try {
    const { kty, crv, x, y, n, e } = jwk;
    const key = (await importJWK({ kty, crv, x, y, n, e } as JWK, alg)) as CryptoKey;
    const { modulusLength = RSA_BITS_MIN } = key.algorithm as { modulusLength?: number };
    return modulusLength < RSA_BITS_MIN ? undefined : { alg, key };
  } catch {
    return undefined;
  }
}

/** Returns the one algorithm that a key is for (RFC 8725 section 3.1), so that no token's header can choose another. */
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
