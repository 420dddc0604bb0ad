import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { hashSecret, hints, newSecret, wellFormed } from '../lib/secrets.ts';
import {
  type BearerRow,
  type CredentialRow,
  findBearerByHash,
  insertCredential,
  markFirstUsed,
  retireSuperseded,
} from '../store/credentials.ts';
import type { Tx } from '../store/db.ts';
import { type Asker, record } from './events.ts';
import { formatScope } from './scopes.ts';

/** What a key grants, and how long. */
export interface Grant {
  id: string;
  scopes: string[];
  /** Undefined: every resource. */
  resources: string[] | undefined;
  /** Epoch ms, both. */
  createdAt: number;
  expiresAt: number | null;
}

/** A key as its holder and its owner may see it; never the secret. */
export interface Key extends Grant {
  name: string | null;
  prefix: string;
  lastFour: string;
  /** Epoch ms, both. */
  revokedAt: number | null;
  lastUsedAt: number | null;
  /** Where that was, in words. */
  lastUsedFrom: string | null;
}

/** Who stands behind a key that works. */
export interface Bearer {
  key: Grant;
  hash: Buffer;
  /** Undefined: the key is a human's own. */
  agentId: string | undefined;
  /** The account the key works in: `user_id`, `sub`. */
  accountId: string;
  /** The human's account behind the agent, once claimed. */
  ownerId: string | undefined;
  /** The account the agent had of its own before it was merged, for keys in the account it merged into. */
  mergedFrom: string | undefined;
  /** Whether its first use, which ends the keys it supersedes, is still to come. */
  retiresOthers: boolean;
  /** Whether it is from before the claim, and only reads on until its successor is used. */
  isSuperseded: boolean;
}

/**
 * Makes a key in the caller's transaction.
 *
 * @returns its id, its end in epoch ms or null, and the secret, which is nowhere else
 */
export async function issueKey(
  tx: Tx,
  deps: Pick<Deps, 'random' | 'config'>,
  now: number,
  grant: {
    /** Undefined: a key of the human's own. */
    agentId: string | undefined;
    accountId: string;
    scopes: readonly string[];
    name?: string;
    resources?: readonly string[] | undefined;
    expiresAt?: number | null;
    /** When its owner is to be told that it expires. */
    warnAt?: number | null;
    /** Whether its first use ends the keys it supersedes. */
    retiresOthers?: boolean;
  },
): Promise<{ id: string; credential: string; expiresAt: number | null }> {
  const credential = newSecret('sk', deps.random, deps.config.service.keyBrand);
  const id = newId('key', now, deps.random);
  const expiresAt = grant.expiresAt ?? null;
  await insertCredential(tx, {
    hash: hashSecret(credential),
    id,
    kind: 'key',
    agentId: grant.agentId ?? null,
    accountId: grant.accountId,
    name: grant.name ?? null,
    scope: formatScope(grant.scopes),
    resources: grant.resources === undefined ? null : grant.resources.join(' '),
    ...hints(credential),
    createdAt: now,
    expiresAt,
    retiresOthers: grant.retiresOthers ? 1 : 0,
    warnAt: grant.warnAt ?? null,
  });
  return { id, credential, expiresAt };
}

/** The name of an access token, before there is one. */
export function newTokenId(deps: Pick<Deps, 'random'>, now: number): string {
  return newId('tok', now, deps.random);
}

/** Remembers an access token in the caller's transaction, by its hash: it is introspected, revoked and narrowed like a key. */
export async function insertToken(
  tx: Tx,
  token: {
    id: string;
    value: string;
    agentId: string;
    accountId: string;
    scopes: readonly string[];
    resource: string;
    /** Epoch ms, both. */
    issuedAt: number;
    expiresAt: number;
  },
): Promise<void> {
  await insertCredential(tx, {
    hash: hashSecret(token.value),
    id: token.id,
    kind: 'token',
    agentId: token.agentId,
    accountId: token.accountId,
    name: null,
    scope: formatScope(token.scopes),
    resources: token.resource,
    ...hints(token.value),
    createdAt: token.issuedAt,
    expiresAt: token.expiresAt,
    retiresOthers: 0,
    warnAt: null,
  });
}

/** No token that we sign is longer. */
const SIGNED_LENGTH_MAX = 2048;

/** Whether a text could be a credential of ours. What we signed is looked up like the rest, so its signature need not be looked at. */
export function isPresentable(credential: string): boolean {
  if (wellFormed('sk', credential) || wellFormed('at', credential)) return true;
  return credential.length <= SIGNED_LENGTH_MAX && /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/.test(credential);
}

/**
 * Who holds this key, or undefined. Unknown, malformed, expired and revoked keys are one and the same to the caller (rule 11);
 * a malformed one costs no look into the database (S-20). Looking is no use of the key: see useKey.
 */
export async function findBearer(
  deps: Pick<Deps, 'db' | 'clock'>,
  credential: string,
): Promise<Bearer | undefined> {
  if (!isPresentable(credential)) return undefined;
  const hash = hashSecret(credential);
  const row = await findBearerByHash(deps.db, hash);
  if (row === undefined || !isLive(row, deps.clock()) || row.agentRevokedAt !== null) return undefined;
  return toBearer(row, hash);
}

/**
 * Notes that a key is being used; the first use of a key made by a claim ends the ones from before it (decision 9).
 *
 * @param from where, in words for its owner
 */
export async function useKey(deps: Deps, asker: Asker, bearer: Bearer, from: string): Promise<void> {
  const now = deps.clock();
  deps.touchKey(bearer.hash, now, from);
  const { agentId } = bearer;
  if (!bearer.retiresOthers || agentId === undefined) return;
  await deps.db.tx(async (tx) => {
    if ((await markFirstUsed(tx, bearer.hash)) !== 1) return;
    const retired = await retireSuperseded(tx, agentId, bearer.key.id, now);
    if (retired === 0) return;
    await record(tx, deps, asker, now, {
      kind: 'key.retired',
      accountId: bearer.accountId,
      agentId,
      subject: bearer.key.id,
      details: { keys: retired },
    });
  });
}

/**
 * The bearer of a key, which counts as a use of it.
 *
 * @throws Failure `invalidToken`
 */
export async function authenticate(deps: Deps, asker: Asker, credential: string): Promise<Bearer> {
  const bearer = await findBearer(deps, credential);
  if (bearer === undefined) {
    throw new Failure(
      'invalidToken',
      'The key is not valid: unknown, expired or revoked. Register again to get one.',
    );
  }
  await useKey(deps, asker, bearer, `network ${asker.address.coarse}`);
  return bearer;
}

/** Whether a key works at a moment, as far as it is up to the key. */
export function isLive(key: Pick<CredentialRow, 'revokedAt' | 'expiresAt'>, now: number): boolean {
  return key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now);
}

/** A key as it may be shown. */
export function toKey(row: CredentialRow): Key {
  return {
    ...toGrant(row),
    name: row.name,
    prefix: row.prefix,
    lastFour: row.lastFour,
    revokedAt: row.revokedAt,
    lastUsedAt: row.lastUsedAt,
    lastUsedFrom: row.lastUsedFrom,
  };
}

function toGrant(row: Pick<CredentialRow, 'id' | 'scope' | 'resources' | 'createdAt' | 'expiresAt'>): Grant {
  return {
    id: row.id,
    scopes: row.scope.split(' '), // as formatScope wrote it
    resources: row.resources === null ? undefined : row.resources.split(' '),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
  };
}

function toBearer(row: BearerRow, hash: Buffer): Bearer {
  const mergedFrom = row.agentMergedFrom;
  return {
    key: toGrant(row),
    hash,
    agentId: row.agentId ?? undefined,
    accountId: row.accountId,
    ownerId: row.ownerId ?? undefined,
    mergedFrom: mergedFrom !== null && mergedFrom !== row.accountId ? mergedFrom : undefined,
    retiresOthers: row.retiresOthers === 1,
    isSuperseded: row.supersededBy !== null,
  };
}
