import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { importKey, newKeyPair, signJwt, verifyJwt } from '../../lib/jwt.ts';
import {
  deleteSigningKey,
  insertSigningKey,
  listSigningKeys,
  type SigningKeyRow,
} from '../../store/signing-keys.ts';
import type { RequestOrigin } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * The keys by which we sign assertions and tokens. They lie in the database, sealed under the service secret, so that all
 * replicas have the same; what each is for follows from its times: published at once, used from ANNOUNCE_MS later,
 * and published until the last token that it signed is dead.
 */

/** So long a key is published before it is used: twice as long as anybody may keep the list of them. */
const ANNOUNCE_MS = 600_000;
const SKEW_MS = 60_000;

type Keyed = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'random'>;

/** A key as an operator may see it. */
export interface SigningKey {
  kid: string;
  state: 'next' | 'current' | 'old';
  /** Epoch ms, both. */
  createdAt: number;
  usedFrom: number;
}

/** Signs claims with the key that is current. @param typ see signJwt */
export async function sign(deps: Keyed, typ: string, claims: Record<string, unknown>): Promise<string> {
  const row = await currentKey(deps);
  const privateKey = await imported(`${row.kid} private`, () => openPrivate(deps, row)!);
  return signJwt({ kid: row.kid, privateKey }, typ, claims);
}

/** The claims of a token of ours, or undefined; see verifyJwt. */
export async function verify(
  deps: Keyed,
  token: string,
  typ: string,
): Promise<Record<string, unknown> | undefined> {
  const issuer = deps.config.publicUrl;
  const keyOf = async (kid: string) => {
    const row = (await publishedKeys(deps)).find((each) => each.kid === kid);
    return row && imported(`${kid} public`, () => row.publicJwk);
  };
  return verifyJwt(token, keyOf, { typ, issuer, audience: issuer, now: deps.clock() });
}

/** The published keys, as a JWK Set (RFC 7517 5). */
export async function listPublicKeys(deps: Keyed): Promise<{ keys: object[] }> {
  await currentKey(deps);
  return { keys: (await publishedKeys(deps)).map((row) => JSON.parse(row.publicJwk) as object) };
}

/** What keys there are, newest first. */
export async function listKeys(deps: Keyed): Promise<SigningKey[]> {
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
 * Makes the next key.
 *
 * @param atOnce the ones before it are compromised: it signs from now on, and what they signed is dead
 */
export async function rotateKeys(deps: Deps, origin: RequestOrigin, atOnce: boolean): Promise<SigningKey> {
  const now = deps.clock();
  const usedFrom = atOnce ? now : now + ANNOUNCE_MS;
  const row = await makeKey(deps, usedFrom);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if (atOnce) {
      for (const { kid } of await listSigningKeys(tx)) await deleteSigningKey(tx, kid, now);
    }
    await insertSigningKey(tx, row);
    await record(work, { kind: 'signing_key.made', subject: row.kid, details: { atOnce } });
  });
  return { kid: row.kid, state: atOnce ? 'current' : 'next', createdAt: now, usedFrom };
}

/** The newest key that is in use and can be opened; the first one is made when it is needed. */
async function currentKey(deps: Keyed): Promise<SigningKeyRow> {
  const usable = (rows: SigningKeyRow[]) =>
    rows.find((row) => row.usedFrom <= deps.clock() && openPrivate(deps, row) !== undefined);
  const current = usable(await publishedKeys(deps));
  if (current !== undefined) return current;
  const made = await makeKey(deps, deps.clock());
  return deps.db.tx(async (tx) => {
    // Another replica may have been first; of two that were at the same moment, either will do.
    const theirs = usable(await listSigningKeys(tx));
    if (theirs !== undefined) return theirs;
    await insertSigningKey(tx, made);
    return { ...made, removedAt: null };
  });
}

async function makeKey(deps: Keyed, usedFrom: number): Promise<Omit<SigningKeyRow, 'removedAt'>> {
  const { kid, publicJwk, privateJwk } = await newKeyPair();
  return {
    kid,
    publicJwk: JSON.stringify(publicJwk),
    sealed: deps.keyring.seal(PURPOSE, kid, JSON.stringify(privateJwk)),
    createdAt: deps.clock(),
    usedFrom,
  };
}

/** Those that sign, will sign, or have signed what is still alive; newest in use first. */
async function publishedKeys(deps: Pick<Deps, 'db' | 'clock' | 'config'>): Promise<SigningKeyRow[]> {
  const { assertionTtlSeconds, signedTokenTtlSeconds } = deps.config.limits;
  const keptMs = Math.max(assertionTtlSeconds, signedTokenTtlSeconds) * 1000 + SKEW_MS;
  const rows = await listSigningKeys(deps.db);
  return rows.filter((_, index) => {
    const successor = rows[index - 1];
    return successor === undefined || successor.usedFrom + keptMs > deps.clock();
  });
}

const PURPOSE = 'signing-key';

function openPrivate(deps: Pick<Deps, 'keyring'>, row: SigningKeyRow): string | undefined {
  return deps.keyring.open(PURPOSE, row.kid, row.sealed);
}

/** A key is its thumbprint, so what was imported once stays right. */
const importedKeys = new LRUCache<string, ReturnType<typeof importKey>>({ max: 100 });

function imported(name: string, jwkOf: () => string): ReturnType<typeof importKey> {
  const known = importedKeys.get(name);
  if (known !== undefined) return known;
  const key = importKey(JSON.parse(jwkOf()));
  importedKeys.set(name, key);
  return key;
}
