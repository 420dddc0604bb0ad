import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { formatScope, isSubset } from '../../lib/scopes.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { lockAccount } from '../../store/accounts.ts';
import { lockAgent } from '../../store/agents.ts';
import {
  type CredentialRow,
  findBearerByHash,
  findCredential,
  listCredentials,
  updateCredentialRevoked,
} from '../../store/credentials.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { type Bearer, isPresentable } from './bearer.ts';
import { isLive, issueKey, type Key, type KeyTerms, toKey } from './issue.ts';
import { revokeByHolder } from './refresh-tokens.ts';

/** What holders do with keys: list, make and end them. What a key is, and who stands behind one, is in credentials.ts. */

/** All keys of the bearer's agent, also ended ones. */
export async function listKeys(deps: Deps, bearer: Bearer): Promise<Key[]> {
  const { agentId } = claimedAgent(deps, bearer);
  return (await listCredentials(deps.db, agentId)).filter(isKey).map(toKey);
}

/** Tokens come and go by themselves, and are no keys to be managed. */
export function isKey(row: Pick<CredentialRow, 'kind'>): boolean {
  return row.kind === 'key';
}

/** The key that the bearer holds. */
export async function showHeldKey(deps: Deps, bearer: Bearer): Promise<Key> {
  return toKey((await findCredential(deps.db, bearer.key.id))!);
}

/**
 * Makes another key for the bearer's agent, no wider than the bearer's own in scope, resources and life.
 *
 * @param ask.expiresAt epoch ms; undefined: as long as the bearer's
 * @throws Failure `insufficientScope`, `badRequest`
 */
export async function createKey(
  deps: Deps,
  origin: RequestOrigin,
  bearer: Bearer,
  ask: {
    name: string;
    scopes: readonly string[];
    resources: readonly string[] | undefined;
    expiresInSeconds: number | undefined;
  },
): Promise<{ key: Key; credential: string }> {
  const { agentId, ownerId } = claimedAgent(deps, bearer);
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

  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    // Read again inside: a key revoked or narrowed a moment ago must not leave a successor behind.
    if (!(await lockAccount(tx, ownerId)) || !(await lockAgent(tx, agentId))) throw endedMeanwhile();
    const maker = await findBearerByHash(tx, bearer.hash);
    if (maker === undefined || !isLive(maker, now)) throw endedMeanwhile();
    if (maker.scope !== formatScope(bearer.key.scopes) || maker.accountId !== bearer.accountId) {
      throw endedMeanwhile();
    }
    const { id, credential } = await issueKey(work, {
      agentId,
      accountId: bearer.accountId,
      scopes: ask.scopes,
      name: ask.name,
      resources,
      expiresAt,
    });
    await recordAndNotify(work, ownerId, {
      kind: 'key.created',
      agentId,
      subject: id,
      details: { scope: formatScope(ask.scopes), maker: bearer.key.id },
    });
    return { key: toKey((await findCredential(tx, id))!), credential };
  });
}

/** Whether a key grants nothing that another one does not. */
function isNoWider(
  key: { scopes: readonly string[]; resources: readonly string[] | undefined },
  than: Pick<KeyTerms, 'scopes' | 'resources'>,
): boolean {
  if (!isSubset(key.scopes, than.scopes)) return false;
  return (
    than.resources === undefined || (key.resources !== undefined && isSubset(key.resources, than.resources))
  );
}

/**
 * Ends one of the keys of the bearer's agent: itself, or one that is no wider. A key handed to a read-only helper must not be
 * able to cut off its maker.
 *
 * @throws Failure `notFound`, also for a key of somebody else (S-29); `insufficientScope`
 */
export async function revokeOwnKey(
  deps: Deps,
  origin: RequestOrigin,
  bearer: Bearer,
  keyId: string,
): Promise<Key> {
  const { agentId } = claimedAgent(deps, bearer);
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const key = await findCredential(tx, keyId);
    if (key === undefined || key.agentId !== agentId) {
      throw new Failure('notFound', 'There is no such key. GET /api/tokens lists yours.');
    }
    if (!isNoWider(toKey(key), bearer.key)) {
      throw new Failure('insufficientScope', 'A key cannot end a wider one than itself.', {
        scope: key.scope,
      });
    }
    await endKey(work, key);
    return toKey((await findCredential(tx, keyId))!);
  });
}

/**
 * Ends what somebody holds: possession is enough (RFC 7009, S-101). A refresh token ends with all of its family; anything that is
 * not live changes nothing.
 */
export async function revokeHeldKey(deps: Deps, origin: RequestOrigin, credential: string): Promise<void> {
  if (await revokeByHolder(deps, origin, credential)) return;
  if (!isPresentable(credential)) return;
  const hash = hashSecret(credential);
  const row = await findBearerByHash(deps.db, hash);
  if (row === undefined || row.revokedAt !== null) return;
  await useCase(deps, origin, {}, (work) => endKey(work, { ...row, hash }));
}

/** Ends a key by its id, as an operator. Returns whether there is such a key. */
export async function revokeKeyById(deps: Deps, origin: RequestOrigin, keyId: string): Promise<boolean> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const key = await findCredential(tx, keyId);
    if (key !== undefined) await endKey(work, key);
    return key !== undefined;
  });
}

/** Ends a key in the caller's transaction, if it was not. */
export async function endKey(
  work: Work,
  key: Pick<CredentialRow, 'hash' | 'id' | 'accountId' | 'agentId'>,
): Promise<void> {
  const { tx, now } = work;
  if ((await updateCredentialRevoked(tx, key.hash, now)) !== 1) return;
  await record(work, {
    kind: 'key.revoked',
    accountId: key.accountId,
    agentId: key.agentId ?? undefined,
    subject: key.id,
  });
}

/** The agent of a key that may manage its keys. */
function claimedAgent(deps: Deps, bearer: Bearer): { agentId: string; ownerId: string } {
  const { agentId, ownerId } = bearer;
  if (agentId === undefined) {
    throw new Failure('insufficientScope', `This key is a human's own. They manage such keys at /keys.`, {
      scope: formatScope(bearer.key.scopes),
    });
  }
  const details = { scope: formatScope(deps.config.claimedScopes) };
  // A key from before the claim does not become a claimed one by it (S-27): the key it would make could outlive it.
  if (bearer.isSuperseded) {
    throw new Failure(
      'insufficientScope',
      'This key is from before the claim, and manages none. Use the key that the claim gave you.',
      details,
    );
  }
  if (ownerId === undefined) {
    throw new Failure(
      'insufficientScope',
      'Nobody has claimed you, and only a claimed agent manages keys, whatever their scope. Have your human claim you: POST /agent/auth/claim with your claim_token and their mailbox.',
      details,
    );
  }
  return { agentId, ownerId };
}

function endedMeanwhile(): Failure {
  return new Failure(
    'invalidToken',
    'The key was revoked or narrowed. GET /api/me tells whether it still works.',
  );
}
