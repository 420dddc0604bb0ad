import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { hashSecret, isWellFormedSecret, newSecret } from '../../lib/secrets.ts';
import {
  findRefreshToken,
  insertRefreshToken,
  type RefreshTokenRow,
  updateFamilyEnded,
  updateRefreshTokenUsed,
} from '../../store/refresh-tokens.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * Refresh tokens, by which an agent renews its identity. Each is used once and replaced by a successor
 * (RFC 9700 section 4.14.2). Reuse means that a token was captured, so it revokes the whole family. A client that lost
 * the response may repeat its request: for REPEAT_MS it receives the same successor.
 */

/** How long after its use a token still returns its successor. */
const REPEAT_MS = 10_000;
const SEAL_PURPOSE = 'refresh-token';

/** A refresh token as its holder receives it. */
export interface RefreshToken {
  value: string;
  /** Epoch ms. */
  expiresAt: number;
}

/**
 * Issues the first token of a new family, in the caller's transaction.
 *
 * @param endsAt epoch ms: when the registration expires; Infinity: never
 */
export async function startTokenFamily(
  work: Work,
  registrationId: string,
  endsAt: number,
): Promise<RefreshToken> {
  const { now, deps } = work;
  const token = newToken(deps, now, endsAt);
  await insertToken(work, { registrationId, family: newId('fam', now, deps.random) }, token);
  return token;
}

/**
 * Finds a presented token that is neither expired nor revoked. It may have been used before; rotateRefreshToken()
 * checks that.
 *
 * @throws Failure `invalidRefreshToken`
 */
export async function findActiveRefreshToken(work: Work, value: string): Promise<RefreshTokenRow> {
  const { tx, now } = work;
  const row = isWellFormedSecret('art', value) ? await findRefreshToken(tx, hashSecret(value)) : undefined;
  if (row === undefined || row.endedAt !== null || row.expiresAt <= now) throw invalidRefreshToken();
  return row;
}

/**
 * Marks a token as used and issues its successor, in the caller's transaction.
 *
 * @param endsAt epoch ms: when the registration expires; Infinity: never
 * @returns the successor; the same one if the token was used at most REPEAT_MS ago
 * @throws Failure `invalidRefreshToken` if it was used earlier than that; its family is revoked and the transaction
 * commits
 */
export async function rotateRefreshToken(
  work: Work,
  presented: RefreshTokenRow,
  endsAt: number,
): Promise<RefreshToken> {
  const { tx, now, deps } = work;
  const { hash, family, registrationId } = presented;
  const successor = newToken(deps, now, endsAt);
  const sealed = deps.keyring.seal(SEAL_PURPOSE, sealContext(hash), JSON.stringify(successor));
  if ((await updateRefreshTokenUsed(tx, hash, sealed, now)) === 1) {
    await insertToken(work, presented, successor);
    return successor;
  }
  // It was used before, perhaps by a concurrent request. The update waited for that one to commit, so read again.
  const repeated = unsealSuccessor(deps, await findRefreshToken(tx, hash), now);
  if (repeated !== undefined) return repeated;
  await updateFamilyEnded(tx, family, now);
  await recordEvent(work, { kind: 'refresh_token.reused', subject: registrationId });
  return work.failAfterCommit(invalidRefreshToken());
}

/**
 * Revokes the family of a presented refresh token: possession is enough (RFC 7009 section 2).
 *
 * @returns whether the text has the form of a refresh token
 */
export async function revokeByHolder(deps: Deps, origin: RequestOrigin, value: string): Promise<boolean> {
  if (!isWellFormedSecret('art', value)) return false;
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const row = await findRefreshToken(tx, hashSecret(value));
    if (row === undefined || (await updateFamilyEnded(tx, row.family, now)) === 0) return;
    await recordEvent(work, { kind: 'refresh_token.revoked', subject: row.registrationId });
  });
  return true;
}

function unsealSuccessor(
  deps: Pick<Deps, 'keyring'>,
  row: RefreshTokenRow | undefined,
  now: number,
): RefreshToken | undefined {
  if (!row?.spentAt || row.successor === null || now - row.spentAt > REPEAT_MS) return undefined;
  const text = deps.keyring.open(SEAL_PURPOSE, sealContext(row.hash), row.successor);
  return text === undefined ? undefined : (JSON.parse(text) as RefreshToken);
}

function sealContext(hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex');
}

function newToken(deps: Pick<Deps, 'config' | 'random'>, now: number, endsAt: number): RefreshToken {
  const expiresAt = Math.min(now + deps.config.limits.refreshTtlSeconds * 1000, endsAt);
  return { value: newSecret('art', deps.random), expiresAt };
}

function insertToken(
  work: Work,
  { registrationId, family }: Pick<RefreshTokenRow, 'registrationId' | 'family'>,
  { value, expiresAt }: RefreshToken,
): Promise<void> {
  const { tx, now } = work;
  return insertRefreshToken(tx, { hash: hashSecret(value), family, registrationId, expiresAt, now });
}

/** Creates the failure for a refresh token that is not valid; the caller does not learn why. */
export function invalidRefreshToken(): Failure {
  return new Failure(
    'invalidRefreshToken',
    'The refresh token is not valid: unknown, expired, or used before. Use the newest one, or register again.',
  );
}
