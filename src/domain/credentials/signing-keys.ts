import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { importKey, newKeyPair, signJwt, verifyJwt } from '../../lib/jwt.ts';
import type { Keyring } from '../../lib/keyring.ts';
import {
  insertSigningKey,
  listSigningKeys,
  type SigningKeyRow,
  updateSigningKeyRemoved,
} from '../../store/signing-keys.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * The keys that sign identity assertions and access tokens. They are stored in the database, sealed under the service
 * secret, so that all replicas share them. The times of a key determine its state: it is published at once, signs
 * ANNOUNCE_MS later, and stays published until the last token or permission grant that it signed has expired.
 */

/** How long a key is published before it signs: twice as long as the key set may be cached. */
const ANNOUNCE_MS = 600_000;

/** How far clocks may differ. */
const SKEW_MS = 60_000;

type SigningDeps = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'random'>;

/** A signing key as an operator may see it. */
export interface SigningKey {
  kid: string;
  /** `next`: does not sign yet; `current`: signs; `old`: only verifies. */
  state: 'next' | 'current' | 'old';
  /** Epoch ms, both. */
  createdAt: number;
  usedFrom: number;
}

/**
 * Signs claims with the current key. Creates the first key if there is none.
 *
 * @param typ see signJwt()
 * @returns a JWT in compact form
 */
export async function signOwnToken(
  deps: SigningDeps,
  typ: string,
  claims: Record<string, unknown>,
): Promise<string> {
  return signJwt(await currentPrivateKey(deps), typ, claims);
}

/** Returns the key that signs now. Creates the first key if there is none. */
export async function currentPrivateKey(
  deps: SigningDeps,
): Promise<{ kid: string; privateKey: Awaited<ReturnType<typeof importKey>> }> {
  const row = await currentKey(deps);
  return {
    kid: row.kid,
    privateKey: await importCached(`${row.kid} private`, () => unsealPrivateJwk(deps, row)!),
  };
}

/**
 * Verifies a token that this service signed for itself.
 *
 * @returns its claims; undefined if it is not valid, see verifyJwt()
 */
export async function verifyOwnToken(
  deps: SigningDeps,
  token: string,
  typ: string,
): Promise<Record<string, unknown> | undefined> {
  const issuer = deps.config.publicUrl;
  const findPublicKey = async (kid: string) => {
    const row = (await publishedKeys(deps)).find((each) => each.kid === kid);
    return row && importCached(`${kid} public`, () => row.publicJwk);
  };
  return verifyJwt(token, findPublicKey, { typ, issuer, audience: issuer, now: deps.clock() });
}

/** Returns the published keys as a JWK Set (RFC 7517 section 5). Creates the first key if there is none. */
export async function listPublicKeys(deps: SigningDeps): Promise<{ keys: object[] }> {
  return { keys: (await listSealedKeys(deps)).map((row) => JSON.parse(row.publicJwk) as object) };
}

/** A published key, whose private part is sealed with the service secret. */
export type SealedKey = Pick<SigningKeyRow, 'kid' | 'publicJwk' | 'sealed'>;

/** Lists the published keys: first the one that signs now, then the others. Creates the first key if there is none. */
export async function listSealedKeys(deps: SigningDeps): Promise<SealedKey[]> {
  const published = await publishedKeys(deps);
  const current = await currentKey(deps, published);
  return [current, ...published.filter(({ kid }) => kid !== current.kid)];
}

/** Unseals the private JWKs of keys, without those that the service secret does not unseal. */
export function unsealKeys(deps: Pick<Deps, 'keyring'>, keys: readonly SealedKey[]): { kid: string }[] {
  return keys.flatMap((row) => {
    const jwk = unsealPrivateJwk(deps, row);
    return jwk === undefined ? [] : [{ ...(JSON.parse(jwk) as object), kid: row.kid }];
  });
}

/** Lists the published keys, newest first. */
export async function listPublishedKeys(deps: SigningDeps): Promise<SigningKey[]> {
  const rows = await publishedKeys(deps);
  const current = rows.find((row) => row.usedFrom <= deps.clock());
  return rows.map((row) => ({
    kid: row.kid,
    state: row === current ? 'current' : row.usedFrom > deps.clock() ? 'next' : 'old',
    createdAt: row.createdAt,
    usedFrom: row.usedFrom,
  }));
}

/**
 * Creates the next signing key.
 *
 * @param atOnce the earlier keys are compromised: the new one signs at once, and all that they signed is invalid
 */
export async function rotateSigningKeys(
  deps: Deps,
  origin: RequestOrigin,
  atOnce: boolean,
): Promise<SigningKey> {
  const now = deps.clock();
  const usedFrom = atOnce ? now : now + ANNOUNCE_MS;
  const row = await makeKey(deps, usedFrom);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if (atOnce) {
      for (const { kid } of await listSigningKeys(tx)) await updateSigningKeyRemoved(tx, kid, now);
    }
    await insertSigningKey(tx, row);
    await recordEvent(work, { kind: 'signing_key.made', subject: row.kid, details: { atOnce } });
  });
  return { kid: row.kid, state: atOnce ? 'current' : 'next', createdAt: now, usedFrom };
}

/**
 * Returns the newest key that may sign and that the service secret unseals. Creates a key if there is none.
 *
 * @param published the published keys, if the caller has read them
 */
async function currentKey(deps: SigningDeps, published?: SigningKeyRow[]): Promise<SigningKeyRow> {
  const usable = (rows: SigningKeyRow[]) =>
    rows.find((row) => row.usedFrom <= deps.clock() && unsealPrivateJwk(deps, row) !== undefined);
  const current = usable(published ?? (await publishedKeys(deps)));
  if (current !== undefined) return current;
  const created = await makeKey(deps, deps.clock());
  return deps.db.tx(async (tx) => {
    // Another replica may have created one meanwhile. If two do so at the same time, both keys are published and valid.
    const existing = usable(await listSigningKeys(tx));
    if (existing !== undefined) return existing;
    await insertSigningKey(tx, created);
    return { ...created, removedAt: null, keepUntil: null };
  });
}

async function makeKey(
  deps: SigningDeps,
  usedFrom: number,
): Promise<Omit<SigningKeyRow, 'removedAt' | 'keepUntil'>> {
  const { kid, publicJwk, privateJwk } = await newKeyPair();
  return {
    kid,
    publicJwk: JSON.stringify(publicJwk),
    sealed: deps.keyring.seal(SEAL_PURPOSE, kid, JSON.stringify(privateJwk)),
    createdAt: deps.clock(),
    usedFrom,
  };
}

/** Returns the keys that sign, will sign, or signed a token or grant that may still be valid, by descending `usedFrom`. */
async function publishedKeys(deps: Pick<Deps, 'db' | 'clock' | 'config'>): Promise<SigningKeyRow[]> {
  const { assertionTtlSeconds, signedTokenTtlSeconds } = deps.config.limits;
  const keepMs = Math.max(assertionTtlSeconds, signedTokenTtlSeconds) * 1000 + SKEW_MS;
  const rows = await listSigningKeys(deps.db);
  return rows.filter((row, index) => {
    const successor = rows[index - 1];
    const isKept = row.keepUntil !== null && row.keepUntil > deps.clock();
    return successor === undefined || isKept || successor.usedFrom + keepMs > deps.clock();
  });
}

const SEAL_PURPOSE = 'signing-key';

/** The private JWKs that were unsealed, by `kid`: which key signs is looked up for each token. */
const unsealedKeys = new WeakMap<Keyring, LRUCache<string, string>>();

function unsealPrivateJwk(
  { keyring }: Pick<Deps, 'keyring'>,
  { kid, sealed }: Pick<SealedKey, 'kid' | 'sealed'>,
): string | undefined {
  const known = unsealedKeys.get(keyring) ?? new LRUCache<string, string>({ max: 100 });
  unsealedKeys.set(keyring, known);
  const jwk = known.get(kid) ?? keyring.open(SEAL_PURPOSE, kid, sealed);
  if (jwk !== undefined) known.set(kid, jwk);
  return jwk;
}

/** A `kid` is the thumbprint of its key (RFC 7638), so that a cached import stays correct. */
const importedKeys = new LRUCache<string, ReturnType<typeof importKey>>({ max: 100 });

function importCached(name: string, readJwk: () => string): ReturnType<typeof importKey> {
  const cached = importedKeys.get(name);
  if (cached !== undefined) return cached;
  const key = importKey(JSON.parse(readJwk()));
  importedKeys.set(name, key);
  return key;
}
