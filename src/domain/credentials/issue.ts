import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope } from '../../lib/scopes.ts';
import { hashSecret, hints, newSecret } from '../../lib/secrets.ts';
import { type CredentialRow, insertCredential } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { Work } from '../../work.ts';

/** What a key grants, and how long. */
export interface KeyTerms {
  id: string;
  scopes: string[];
  /** Undefined: every resource. */
  resources: string[] | undefined;
  /** Epoch ms, both. */
  createdAt: number;
  expiresAt: number | null;
}

/** A key as its holder and its owner may see it; never the secret. */
export interface Key extends KeyTerms {
  name: string | null;
  prefix: string;
  lastFour: string;
  /** Epoch ms, both. */
  revokedAt: number | null;
  lastUsedAt: number | null;
  /** Where that was, in words. */
  lastUsedFrom: string | null;
}

/**
 * Makes a key in the caller's transaction.
 *
 * @returns its id, its end in epoch ms or null, and the secret, which is nowhere else
 */
export async function issueKey(
  work: Work,
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
  const { tx, now, deps } = work;
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

export function toGrant(
  row: Pick<CredentialRow, 'id' | 'scope' | 'resources' | 'createdAt' | 'expiresAt'>,
): KeyTerms {
  return {
    id: row.id,
    scopes: row.scope.split(' '), // as formatScope wrote it
    resources: row.resources === null ? undefined : row.resources.split(' '),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
  };
}
