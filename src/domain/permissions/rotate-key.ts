import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { readPublicKey } from '../../lib/ed25519.ts';
import { lockAccount } from '../../store/accounts.ts';
import { lockAgent } from '../../store/agents.ts';
import { listGrantsBy } from '../../store/permission-grants.ts';
import {
  findSessionKey,
  insertSessionKey,
  updateFamilyEnded,
  updateSessionKeySucceeded,
} from '../../store/session-keys.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { consumeRequestToken } from '../credentials/request-tokens.ts';
import { useCase } from '../limits/use-case.ts';
import { endGrant } from './grants.ts';
import {
  isSessionKeyLive,
  type KeyHolder,
  keyInvalid,
  proofInvalid,
  verifyNewKeyToken,
} from './key-holders.ts';

/** How a session key is replaced by another one, and ended. */

/** How long a replaced key goes on working, unless the new one is used before. */
const OVERLAP_MS = 600_000;

/** A rotation. */
export interface RotatedKey {
  thumbprint: string;
  oldThumbprint: string;
  /** Epoch ms. */
  oldEndsAt: number;
}

/**
 * Lets another key follow a session key. The old one works for some minutes more, or until the new one is first used. What was
 * granted to it stays; a terminal keeps what it may grant and its end, to the letter.
 *
 * @param audience the URL of the row, for which the new key signs, too
 * @throws Failure `badRequest` for a key that is none, `keyInUse` for one that is known; `invalidSignature`, `invalidToken`
 */
export async function rotateSessionKey(
  deps: Deps,
  origin: RequestOrigin,
  holder: KeyHolder,
  to: { key: unknown; proof: string },
  audience: string,
): Promise<RotatedKey> {
  const key = readPublicKey(to.key);
  if (typeof key === 'string') {
    throw new Failure('badRequest', 'The new key is no public Ed25519 JWK. Send no private one.', {
      field: 'key',
    });
  }
  const { thumbprint: old } = holder;
  const { claims, endsAt } = verifyNewKeyToken(deps, to.proof, {
    audience,
    publicJwk: key.jwk,
    thumbprint: key.thumbprint,
    old,
  });
  if (!(await consumeRequestToken(deps, `key:${key.thumbprint}`, claims, endsAt))) throw proofInvalid();
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    await lockHolder(work, holder);
    const row = await findSessionKey(tx, old, now);
    if (row === undefined) {
      throw new Failure('badRequest', 'The host of this agent replaces its key: POST /agent/rotate-key.');
    }
    if (!isSessionKeyLive(row, now)) throw keyInvalid();
    const isNew = await insertSessionKey(tx, {
      ...row,
      thumbprint: key.thumbprint,
      publicJwk: key.jwk,
      generation: row.generation + 1,
      origin: origin.address.coarse,
      createdAt: now,
    });
    if (!isNew) throw new Failure('keyInUse', 'The new key is known here, or was. Make another one.');
    const oldEndsAt = now + OVERLAP_MS;
    const isFirst = await updateSessionKeySucceeded(tx, old, {
      successor: key.thumbprint,
      retiresAt: oldEndsAt,
    });
    if (isFirst !== 1) throw new Failure('keyInUse', 'Another key follows this one already.');
    await recordRotated(work, holder, key.thumbprint);
    return { thumbprint: key.thumbprint, oldThumbprint: old, oldEndsAt };
  });
}

/** The human of a terminal is mailed: whoever copied its key could have done it. */
async function recordRotated(work: Work, holder: KeyHolder, thumbprint: string): Promise<void> {
  const { agentId, accountId } = holder;
  const event = {
    kind: 'session_key.rotated',
    agentId,
    subject: thumbprint,
    details: { old: holder.thumbprint },
  } as const;
  if (agentId === undefined) await recordAndNotify(work, accountId, event);
  else await recordEvent(work, { ...event, accountId: holder.ownerId ?? accountId });
}

/**
 * Ends a session key with those before and after it. What was granted to it is reached by no key any more.
 *
 * @param endsGrants whether what a terminal granted ends, too
 */
export async function endSessionKey(
  deps: Deps,
  origin: RequestOrigin,
  holder: KeyHolder,
  { endsGrants }: { endsGrants: boolean },
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    await lockHolder(work, holder);
    await endFamily(work, holder, { endsGrants, by: 'key' });
  });
}

/** Ends the session keys of a family in the caller's transaction. @param by who does it. @returns false: they ended before */
export async function endFamily(
  work: Work,
  {
    family,
    agentId,
    accountId,
    thumbprint,
  }: Pick<KeyHolder, 'family' | 'agentId' | 'thumbprint'> & { accountId: string },
  { endsGrants, by }: { endsGrants: boolean; by: 'key' | 'owner' | 'operator' | 'replay' },
): Promise<boolean> {
  const { tx, now } = work;
  if ((await updateFamilyEnded(tx, family, now)) === 0) return false;
  const given = endsGrants ? await listGrantsBy(tx, accountId) : [];
  const live = given.filter(
    (grant) => grant.grantedWith === family && grant.revokedAt === null && grant.expiresAt > now,
  );
  for (const grant of live) await endGrant(work, grant, accountId);
  await recordEvent(work, {
    kind: 'session_key.ended',
    accountId: accountId === '' ? undefined : accountId,
    agentId,
    subject: thumbprint,
    details: { by, grants: live.length },
  });
  return true;
}

async function lockHolder({ tx }: Work, { agentId, accountId }: KeyHolder): Promise<void> {
  if (agentId === undefined) await lockAccount(tx, accountId);
  else await lockAgent(tx, agentId);
}
