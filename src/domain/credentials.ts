import type { Deps } from '../deps.ts';
import { Failure } from '../errors.ts';
import { newId } from '../lib/ids.ts';
import { hashSecret, hints, newSecret, wellFormed } from '../lib/secrets.ts';
import {
  type BearerRow,
  type CredentialRow,
  findBearerByHash,
  findCredential,
  insertCredential,
  listCredentials,
  markFirstUsed,
  retireSuperseded,
  revokeCredential,
} from '../store/credentials.ts';
import type { Tx } from '../store/db.ts';
import { findRegistration } from '../store/registrations.ts';
import { type Asker, record } from './events.ts';
import { formatScope, parseScope, within } from './scopes.ts';

/** A key as its holder and its owner may see it; never the secret. */
export interface Key {
  id: string;
  name: string | null;
  prefix: string;
  lastFour: string;
  scopes: string[];
  /** Undefined: every resource. */
  resources: string[] | undefined;
  /** These four are epoch ms. */
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
}

/** Who stands behind a key that works. */
export interface Bearer {
  key: Key;
  hash: Buffer;
  agentId: string;
  registrationId: string;
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
 * @returns its id, and the secret, which is nowhere else
 */
export async function issueKey(
  tx: Tx,
  deps: Pick<Deps, 'random' | 'config'>,
  now: number,
  grant: {
    agentId: string;
    accountId: string;
    scopes: readonly string[];
    name?: string;
    resources?: readonly string[] | undefined;
    expiresAt?: number | null;
    /** Whether its first use ends the keys it supersedes. */
    retiresOthers?: boolean;
  },
): Promise<{ id: string; credential: string }> {
  const credential = newSecret('sk', deps.random, deps.config.service.keyBrand);
  const id = newId('key', now, deps.random);
  await insertCredential(tx, {
    hash: hashSecret(credential),
    id,
    agentId: grant.agentId,
    accountId: grant.accountId,
    name: grant.name ?? null,
    scope: formatScope(grant.scopes),
    resources: grant.resources === undefined ? null : grant.resources.join(' '),
    ...hints(credential),
    createdAt: now,
    expiresAt: grant.expiresAt ?? null,
    retiresOthers: grant.retiresOthers ? 1 : 0,
  });
  return { id, credential };
}

/**
 * Who holds this key, or undefined. Unknown, malformed, expired and revoked keys are one and the same to the caller (rule 11);
 * a malformed one costs no look into the database (S-20). Looking is no use of the key: see useKey.
 */
export async function findBearer(
  deps: Pick<Deps, 'db' | 'clock'>,
  credential: string,
): Promise<Bearer | undefined> {
  if (!wellFormed('sk', credential)) return undefined;
  const row = await findBearerByHash(deps.db, hashSecret(credential));
  if (row === undefined || !isLive(row, deps.clock()) || row.agentRevokedAt !== null) return undefined;
  return toBearer(row);
}

/** Notes that a key is being used; the first use of a key made by a claim ends the ones from before it (decision 9). */
export async function useKey(deps: Deps, asker: Asker, bearer: Bearer): Promise<void> {
  const now = deps.clock();
  deps.touchKey(bearer.hash, now);
  if (!bearer.retiresOthers) return;
  await deps.db.tx(async (tx) => {
    if ((await markFirstUsed(tx, bearer.hash)) !== 1) return;
    const retired = await retireSuperseded(tx, bearer.agentId, bearer.key.id, now);
    if (retired === 0) return;
    await record(tx, deps, asker, now, {
      kind: 'key.retired',
      accountId: bearer.accountId,
      agentId: bearer.agentId,
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
  await useKey(deps, asker, bearer);
  return bearer;
}

/** All keys of the bearer's agent, also ended ones. */
export async function listKeys(deps: Deps, bearer: Bearer): Promise<Key[]> {
  await requireClaimed(deps, bearer);
  return (await listCredentials(deps.db, bearer.agentId)).map(toKey);
}

/**
 * Makes another key for the bearer's agent, no wider than the bearer's own in scope, resources and life.
 *
 * @param ask.expiresAt epoch ms; undefined: as long as the bearer's
 * @throws Failure `insufficientScope`, `badRequest`
 */
export async function createKey(
  deps: Deps,
  asker: Asker,
  bearer: Bearer,
  ask: {
    name: string;
    scopes: readonly string[];
    resources: readonly string[] | undefined;
    expiresInSeconds: number | undefined;
  },
): Promise<{ key: Key; credential: string }> {
  await requireClaimed(deps, bearer);
  const now = deps.clock();
  const resources = ask.resources ?? bearer.key.resources;
  if (!isNoWider({ scopes: ask.scopes, resources }, bearer.key)) {
    throw new Failure(
      'insufficientScope',
      'A key cannot make a wider one than itself. Ask for scopes and resources that it has.',
      { scope: formatScope(ask.scopes) },
    );
  }
  const wanted = ask.expiresInSeconds === undefined ? Infinity : now + ask.expiresInSeconds * 1000;
  const end = Math.min(wanted, bearer.key.expiresAt ?? Infinity);
  const expiresAt = end === Infinity ? null : end;

  return deps.db.tx(async (tx) => {
    // Read again inside: a key revoked a moment ago must not leave a successor behind.
    const maker = await findBearerByHash(tx, bearer.hash);
    if (maker === undefined || !isLive(maker, now) || maker.agentRevokedAt !== null) throw endedMeanwhile();
    const { id, credential } = await issueKey(tx, deps, now, {
      agentId: bearer.agentId,
      accountId: bearer.accountId,
      scopes: ask.scopes,
      name: ask.name,
      resources,
      expiresAt,
    });
    await record(tx, deps, asker, now, {
      kind: 'key.created',
      accountId: bearer.accountId,
      agentId: bearer.agentId,
      subject: id,
      details: { scope: formatScope(ask.scopes), maker: bearer.key.id },
    });
    return { key: toKey((await findCredential(tx, id))!), credential };
  });
}

/** Whether a key grants nothing that another one does not. */
function isNoWider(
  key: { scopes: readonly string[]; resources: readonly string[] | undefined },
  than: Pick<Key, 'scopes' | 'resources'>,
): boolean {
  if (!within(key.scopes, than.scopes)) return false;
  return (
    than.resources === undefined || (key.resources !== undefined && within(key.resources, than.resources))
  );
}

/**
 * Ends one of the keys of the bearer's agent: itself, or one that is no wider. A key handed to a read-only helper must not be
 * able to cut off its maker.
 *
 * @throws Failure `notFound`, also for a key of somebody else (S-29); `insufficientScope`
 */
export async function revokeOwnKey(deps: Deps, asker: Asker, bearer: Bearer, keyId: string): Promise<Key> {
  await requireClaimed(deps, bearer);
  return deps.db.tx(async (tx) => {
    const key = await findCredential(tx, keyId);
    if (key === undefined || key.agentId !== bearer.agentId) {
      throw new Failure('notFound', 'There is no such key. GET /api/tokens lists yours.');
    }
    if (!isNoWider(toKey(key), bearer.key)) {
      throw new Failure('insufficientScope', 'A key cannot end a wider one than itself.', {
        scope: key.scope,
      });
    }
    await endKey(tx, deps, asker, key);
    return toKey((await findCredential(tx, keyId))!);
  });
}

/** Ends the key that somebody holds: possession is enough (RFC 7009, S-101). Anything but a live key changes nothing. */
export async function revokeHeldKey(deps: Deps, asker: Asker, credential: string): Promise<void> {
  if (!wellFormed('sk', credential)) return;
  const row = await findBearerByHash(deps.db, hashSecret(credential));
  if (row === undefined || row.revokedAt !== null) return;
  await deps.db.tx((tx) => endKey(tx, deps, asker, row));
}

/** Ends a key by its id, as an operator. Returns whether there is such a key. */
export async function revokeKeyById(deps: Deps, asker: Asker, keyId: string): Promise<boolean> {
  return deps.db.tx(async (tx) => {
    const key = await findCredential(tx, keyId);
    if (key !== undefined) await endKey(tx, deps, asker, key);
    return key !== undefined;
  });
}

async function endKey(tx: Tx, deps: Deps, asker: Asker, key: CredentialRow): Promise<void> {
  const now = deps.clock();
  if ((await revokeCredential(tx, key.hash, now)) !== 1) return;
  await record(tx, deps, asker, now, {
    kind: 'key.revoked',
    accountId: key.accountId,
    agentId: key.agentId,
    subject: key.id,
  });
}

async function requireClaimed(deps: Deps, bearer: Bearer): Promise<void> {
  const registration = await findRegistration(deps.db, bearer.registrationId);
  // A key from before the claim does not become a claimed one by it (S-27): the key it would make could outlive it.
  if (registration?.claimedAt == null || bearer.ownerId === undefined || bearer.isSuperseded) {
    throw new Failure(
      'insufficientScope',
      'Only a claimed agent manages keys. Have your human claim you: POST /agent/auth/claim with your claim_token and their mailbox.',
      { scope: formatScope(deps.config.claimedScopes) },
    );
  }
}

function endedMeanwhile(): Failure {
  return new Failure('invalidToken', 'The key was revoked.');
}

/** Whether a key works at a moment, as far as it is up to the key. */
export function isLive(key: Pick<CredentialRow, 'revokedAt' | 'expiresAt'>, now: number): boolean {
  return key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now);
}

function toKey(row: CredentialRow): Key {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    lastFour: row.lastFour,
    scopes: parseScope(row.scope),
    resources: row.resources === null ? undefined : row.resources.split(' '),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
    revokedAt: row.revokedAt,
    lastUsedAt: row.lastUsedAt,
  };
}

function toBearer(row: BearerRow): Bearer {
  const mergedFrom = row.agentMergedFrom;
  return {
    key: toKey(row),
    hash: row.hash,
    agentId: row.agentId,
    registrationId: row.registrationId,
    accountId: row.accountId,
    ownerId: row.accountKind === 'human' ? row.accountId : (row.parentId ?? undefined),
    mergedFrom: mergedFrom !== null && mergedFrom !== row.accountId ? mergedFrom : undefined,
    retiresOthers: row.retiresOthers === 1,
    isSuperseded: row.supersededBy !== null,
  };
}
