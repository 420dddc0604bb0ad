import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { keyHints, newKeySecret } from '../../lib/key-shapes.ts';
import { formatScope } from '../../lib/scopes.ts';
import { hashSecret, newSecret, secretHints } from '../../lib/secrets.ts';
import { DAY_MS } from '../../lib/time.ts';
import { type CredentialRow, insertCredential } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { Work } from '../../work.ts';
import type { NarrowedPlace } from './narrow-access.ts';

/** What a key or token allows, where, and until when. */
export interface KeyTerms {
  id: string;
  scopes: string[];
  /** URLs of the audiences at which it works; undefined: all. */
  resources: string[] | undefined;
  /** Epoch ms. */
  createdAt: number;
  /** Epoch ms; null: it does not expire. */
  expiresAt: number | null;
  /** Whether it works in its places alone. It then has no `resources`: its places say at which APIs they are. */
  isPlaced: boolean;
}

/** A key as its agent and its owner may see it, without the secret. */
export interface Key extends KeyTerms {
  name: string | null;
  /** The first and the last characters of the secret, see keyHints(). */
  prefix: string;
  lastFour: string;
  /** Epoch ms. */
  revokedAt: number | null;
  /** Epoch ms. */
  lastUsedAt: number | null;
  /** The resource server or the network of the last use, as shown to the owner. */
  lastUsedFrom: string | null;
}

/**
 * Issues a key in the caller's transaction.
 *
 * @returns its id, its secret, of which only the hash is stored, and its expiry (epoch ms; null: none)
 */
export async function issueKey(
  work: Work,
  key: {
    /** Undefined: a personal key of a human, or the key of a thing. */
    agentId: string | undefined;
    accountId: string;
    /** Whether it is the key of a thing in a workspace, for which the account only answers. */
    isAppKey?: boolean;
    scopes: readonly string[];
    name?: string;
    resources?: readonly string[] | undefined;
    /** Whether it works in its places alone, which the caller gives it; then `resources` is left out. */
    isPlaced?: boolean;
    /** Epoch ms; null or undefined: it does not expire. */
    expiresAt?: number | null;
    /** Epoch ms: when the owner is notified that it will expire. */
    warnAt?: number | null;
    /** Whether its first use revokes the keys that it supersedes. */
    retiresOthers?: boolean;
  },
): Promise<{ id: string; credential: string; expiresAt: number | null }> {
  const { tx, now, deps } = work;
  const shape = deps.config.keys.issued;
  const credential = key.isAppKey ? newSecret('ak', deps.random) : newKeySecret(shape, deps.random);
  const id = newId('key', now, deps.random);
  const expiresAt = key.expiresAt ?? null;
  await insertCredential(tx, {
    hash: hashSecret(credential),
    id,
    kind: key.isAppKey ? 'app_key' : 'key',
    agentId: key.agentId ?? null,
    accountId: key.accountId,
    clientId: null,
    oauthGrant: null,
    keyThumbprint: null,
    name: key.name ?? null,
    scope: formatScope(key.scopes),
    // The service before this version takes a key without APIs for one that works nowhere.
    resources: key.isPlaced ? '' : (key.resources?.join(' ') ?? null),
    // Those that an agent makes have a name, and do not reach its places.
    placed: key.isPlaced ? 1 : key.name === undefined ? null : 0,
    ...(key.isAppKey ? secretHints(credential) : keyHints(shape, credential)),
    createdAt: now,
    expiresAt,
    retiresOthers: key.retiresOthers ? 1 : 0,
    warnAt: key.warnAt ?? null,
  });
  return { id, credential, expiresAt };
}

/**
 * Returns when a key of some days ends, and when those whom it concerns are notified of that: later for a short lifetime.
 *
 * @param days undefined: it does not expire
 */
export function lifetimeFrom(
  now: number,
  days: number | undefined,
): { expiresAt: number | null; warnAt: number | null } {
  if (days === undefined) return { expiresAt: null, warnAt: null };
  const expiresAt = now + days * DAY_MS;
  return { expiresAt, warnAt: expiresAt - (days >= 30 ? 7 : 1) * DAY_MS };
}

/** Creates the id of an access token. It comes before the token, because a signed token contains it as `jti`. */
export function newTokenId(deps: Pick<Deps, 'random'>, now: number): string {
  return newId('tok', now, deps.random);
}

/**
 * Stores an access token in the caller's transaction, by its hash: it is introspected, revoked and narrowed like a key.
 */
export async function storeAccessToken(
  tx: Tx,
  token: {
    id: string;
    value: string;
    /** Undefined: a token of an app. */
    agentId: string | undefined;
    accountId: string;
    /** The OAuth client it is issued to, and what a human consented to; without that the client acts by itself. */
    app?: { clientId: string; grantId: string | undefined };
    /** The thumbprint of the key that every use must prove (RFC 9449); undefined: none. */
    keyThumbprint?: string | undefined;
    scopes: readonly string[];
    /** The URL of its audience; empty: every one at which its grants have places. */
    resource: string;
    /** Whether it works in the places of its consent alone. */
    isPlaced?: boolean;
    /** The permission grants in whose places alone it works, and the one action that it is for. */
    granted?: { grants: readonly string[]; actionHash: string | undefined };
    /** The places to which it is narrowed in what its consent or its grants allow; undefined: it has all of that. */
    narrowed?: readonly NarrowedPlace[] | undefined;
    /** Epoch ms, both. */
    issuedAt: number;
    expiresAt: number;
  },
): Promise<void> {
  await insertCredential(tx, {
    hash: hashSecret(token.value),
    id: token.id,
    kind: 'token',
    agentId: token.agentId ?? null,
    accountId: token.accountId,
    clientId: token.app?.clientId ?? null,
    oauthGrant: token.app?.grantId ?? null,
    keyThumbprint: token.keyThumbprint ?? null,
    name: null,
    scope: formatScope(token.scopes),
    // As of a placed key: the API stands in the places.
    resources: token.isPlaced ? '' : token.resource,
    placed: token.isPlaced || token.granted ? 1 : null,
    ...(token.granted && {
      grants: token.granted.grants.join(' '),
      actionHash: token.granted.actionHash,
    }),
    narrowed: token.narrowed && JSON.stringify(token.narrowed),
    ...secretHints(token.value),
    createdAt: token.issuedAt,
    expiresAt: token.expiresAt,
    retiresOthers: 0,
    warnAt: null,
  });
}

/** Whether a key is neither revoked nor expired. Its agent may be revoked all the same; findBearer() checks that. */
export function isLive(key: Pick<CredentialRow, 'revokedAt' | 'expiresAt'>, now: number): boolean {
  return key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now);
}

/** Returns whether a key works, was revoked or has expired. */
export function keyStatus(
  key: Pick<CredentialRow, 'revokedAt' | 'expiresAt'>,
  now: number,
): 'active' | 'revoked' | 'expired' {
  if (isLive(key, now)) return 'active';
  return key.revokedAt === null ? 'expired' : 'revoked';
}

/** Converts a row to a key without its secret. */
export function toKey(row: CredentialRow): Key {
  return {
    ...toKeyTerms(row),
    name: row.name,
    prefix: row.prefix,
    lastFour: row.lastFour,
    revokedAt: row.revokedAt,
    lastUsedAt: row.lastUsedAt,
    lastUsedFrom: row.lastUsedFrom,
  };
}

/** Converts a row to the terms of its key or token. */
export function toKeyTerms(
  row: Pick<CredentialRow, 'id' | 'scope' | 'resources' | 'createdAt' | 'expiresAt' | 'placed'>,
): KeyTerms {
  return {
    id: row.id,
    scopes: row.scope.split(' '), // as formatScope wrote it
    resources: row.resources === null ? undefined : row.resources.split(' ').filter((url) => url !== ''),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
    isPlaced: row.placed === 1,
  };
}
