import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, newSecret, wellFormed } from '../../lib/secrets.ts';
import {
  findRefreshToken,
  insertRefreshToken,
  type RefreshTokenRow,
  updateFamilyEnded,
  updateRefreshTokenUsed,
} from '../../store/refresh-tokens.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * Tokens by which an agent renews its identity. Each is spent once for the next (RFC 9700 4.14.2): one that comes back later was
 * captured, by whoever it is, and ends all of its family. Whoever lost the answer gets the same successor for a moment.
 */

/** A spent token gives its successor again for so long. */
const REPEAT_MS = 10_000;
const PURPOSE = 'refresh-token';

/** What renews an identity. */
export interface RefreshToken {
  value: string;
  /** Epoch ms. */
  expiresAt: number;
}

/**
 * The first token of a family, in the caller's transaction.
 *
 * @param endsAt epoch ms, when the registration ends; Infinity: it does not
 */
export async function startTokenFamily(
  work: Work,
  registrationId: string,
  endsAt: number,
): Promise<RefreshToken> {
  const { now, deps } = work;
  const token = newToken(deps, now, endsAt);
  await insert(work, { registrationId, family: newId('fam', now, deps.random) }, token);
  return token;
}

/**
 * A token that was presented and may still give something.
 *
 * @throws Failure `invalidRefreshToken`
 */
export async function findActiveRefreshToken(work: Work, value: string): Promise<RefreshTokenRow> {
  const { tx, now } = work;
  const row = wellFormed('art', value) ? await findRefreshToken(tx, hashSecret(value)) : undefined;
  if (row === undefined || row.endedAt !== null || row.expiresAt <= now) throw invalidRefreshToken();
  return row;
}

/**
 * Spends a token for the next of its family, in the caller's transaction.
 *
 * @param endsAt epoch ms, when the registration ends; Infinity: it does not
 * @throws Failure `invalidRefreshToken` where it was used again too late; its family ends with it
 */
export async function rotateRefreshToken(
  work: Work,
  presented: RefreshTokenRow,
  endsAt: number,
): Promise<RefreshToken> {
  const { tx, now, deps } = work;
  const { hash, family, registrationId } = presented;
  const next = newToken(deps, now, endsAt);
  const sealed = deps.keyring.seal(PURPOSE, contextOf(hash), JSON.stringify(next));
  if ((await updateRefreshTokenUsed(tx, hash, sealed, now)) === 1) {
    await insert(work, presented, next);
    return next;
  }
  // Spent before, perhaps in this very moment: what is read now is settled.
  const repeated = successorOf(deps, await findRefreshToken(tx, hash), now);
  if (repeated !== undefined) return repeated;
  await updateFamilyEnded(tx, family, now);
  await record(work, { kind: 'refresh_token.reused', subject: registrationId });
  return work.failAfterCommit(invalidRefreshToken());
}

/** Ends the family of a refresh token, at the wish of whoever holds it (RFC 7009 2). Says whether the text could be one. */
export async function revokeByHolder(deps: Deps, origin: RequestOrigin, value: string): Promise<boolean> {
  if (!wellFormed('art', value)) return false;
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const row = await findRefreshToken(tx, hashSecret(value));
    if (row === undefined || (await updateFamilyEnded(tx, row.family, now)) === 0) return;
    await record(work, { kind: 'refresh_token.revoked', subject: row.registrationId });
  });
  return true;
}

function successorOf(
  deps: Pick<Deps, 'keyring'>,
  row: RefreshTokenRow | undefined,
  now: number,
): RefreshToken | undefined {
  if (!row?.spentAt || row.successor === null || now - row.spentAt > REPEAT_MS) return undefined;
  const text = deps.keyring.open(PURPOSE, contextOf(row.hash), row.successor);
  return text === undefined ? undefined : (JSON.parse(text) as RefreshToken);
}

function contextOf(hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex');
}

function newToken(deps: Pick<Deps, 'config' | 'random'>, now: number, endsAt: number): RefreshToken {
  const expiresAt = Math.min(now + deps.config.limits.refreshTtlSeconds * 1000, endsAt);
  return { value: newSecret('art', deps.random), expiresAt };
}

function insert(
  work: Work,
  of: Pick<RefreshTokenRow, 'registrationId' | 'family'>,
  { value, expiresAt }: RefreshToken,
): Promise<void> {
  const { tx, now } = work;
  const { registrationId, family } = of;
  return insertRefreshToken(tx, { hash: hashSecret(value), family, registrationId, expiresAt, now });
}

/** The token gives nothing, whatever the reason. */
export function invalidRefreshToken(): Failure {
  return new Failure(
    'invalidRefreshToken',
    'The refresh token is not valid: unknown, expired, or used before. Use the newest one, or register again.',
  );
}
