import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { hashSecret } from '../../lib/secrets.ts';
import {
  type CredentialRow,
  findBearerByHash,
  findCredential,
  updateCredentialRevoked,
} from '../../store/credentials.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { isNoWider, requireClaimedAgent } from './api-keys.ts';
import { type Bearer, hasCredentialForm } from './bearer.ts';
import { type Key, toKey } from './issue.ts';
import { revokeByHolder } from './refresh-tokens.ts';

/**
 * Revokes a key of the bearer's agent: the bearer's own, or one that is no wider. A read-only key handed to a helper
 * must not revoke the key that created it (docs/adr/0005-keys-and-scopes.md).
 *
 * @throws Failure `notFound`, also for a key of another agent (S-29); `insufficientScope`
 */
export async function revokeOwnKey(
  deps: Deps,
  origin: RequestOrigin,
  bearer: Bearer,
  keyId: string,
): Promise<Key> {
  const { agentId } = requireClaimedAgent(deps, bearer);
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const key = await findCredential(tx, keyId);
    if (key === undefined || key.agentId !== agentId) {
      throw new Failure('notFound', 'There is no such key. GET /api/tokens lists yours.');
    }
    if (!isNoWider(toKey(key), bearer.key)) {
      throw new Failure('insufficientScope', 'A key cannot revoke a wider key.', {
        scope: key.scope,
      });
    }
    await revokeCredential(work, key);
    return toKey((await findCredential(tx, keyId))!);
  });
}

/**
 * Revokes a presented key or token: possession is enough (RFC 7009 section 2, S-101). A refresh token is revoked with
 * its whole family. An unknown or revoked credential changes nothing.
 */
export async function revokePresentedCredential(
  deps: Deps,
  origin: RequestOrigin,
  credential: string,
): Promise<void> {
  if (await revokeByHolder(deps, origin, credential)) return;
  if (!hasCredentialForm(deps, credential)) return;
  const hash = hashSecret(credential);
  const row = await findBearerByHash(deps.db, hash);
  if (row === undefined || row.revokedAt !== null) return;
  await useCase(deps, origin, {}, (work) => revokeCredential(work, { ...row, hash }));
}

/** Revokes a key or access token by its id, as an operator. Returns whether it exists. */
export async function revokeKeyById(deps: Deps, origin: RequestOrigin, keyId: string): Promise<boolean> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const key = await findCredential(tx, keyId);
    if (key !== undefined) await revokeCredential(work, key);
    return key !== undefined;
  });
}

/**
 * Revokes and audits a key or access token in the caller's transaction, unless it is revoked already.
 *
 * @param by `owner`: the signed-in human revokes it, and their activity says so
 */
export async function revokeCredential(
  work: Work,
  key: Pick<CredentialRow, 'hash' | 'id' | 'accountId' | 'agentId'>,
  by?: 'owner',
): Promise<void> {
  const { tx, now } = work;
  if ((await updateCredentialRevoked(tx, key.hash, now)) !== 1) return;
  await recordEvent(work, {
    kind: 'key.revoked',
    accountId: key.accountId,
    agentId: key.agentId ?? undefined,
    subject: key.id,
    ...(by && { details: { by } }),
  });
}
