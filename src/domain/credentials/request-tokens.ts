import type { Deps } from '../../deps.ts';
import { parseSignedToken, type UnverifiedToken } from '../../lib/signed-token.ts';
import type { Tx } from '../../store/engine/db.ts';
import { insertUsedToken } from '../../store/spent-tokens.ts';

/**
 * Tokens that somebody signs with an Ed25519 key for a single request: those of the Agent Auth Protocol (1.0-draft, section 4), and
 * those of session keys.
 */

const TOKEN_LENGTH_MAX = 8192;
const LIFETIME_SECONDS = 60;
const SKEW_SECONDS = 30;
const JTI_LENGTH_MAX = 256;

/** Parses a token whose signature is not verified yet. @throws Error saying what is wrong with it, for the log */
export function parseRequestToken(token: string): UnverifiedToken {
  if (token.length > TOKEN_LENGTH_MAX) throw new Error('length');
  const parsed = parseSignedToken(token);
  if (parsed.header.alg !== 'EdDSA') throw new Error('alg');
  return parsed;
}

/**
 * Checks the times of a token: it lives a minute at most, and clocks may differ by half a minute.
 *
 * @returns when it expires, without the allowed difference, seconds; else what is wrong
 */
export function readRequestTokenEnd(
  { clock }: Pick<Deps, 'clock'>,
  { iat, exp, nbf }: Record<string, unknown>,
): number | 'iat or exp' | 'times' | 'nbf' {
  const now = clock() / 1000;
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp)) return 'iat or exp';
  const end = Math.min(exp as number, (iat as number) + LIFETIME_SECONDS);
  if ((iat as number) > now + SKEW_SECONDS || now >= end + SKEW_SECONDS) return 'times';
  const isEarly = nbf !== undefined && !(Number.isSafeInteger(nbf) && (nbf as number) <= now + SKEW_SECONDS);
  return isEarly ? 'nbf' : end;
}

/**
 * Consumes the `jti` of a token: it is valid once, over all replicas.
 *
 * @param signer whose token it is: others may use the same `jti`
 * @param endsAt see readRequestTokenEnd()
 * @param also runs in the same transaction
 * @returns whether this was the first use
 */
export async function consumeRequestToken(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  signer: string,
  { jti, iat }: Record<string, unknown>,
  endsAt: number,
  also: (tx: Tx, now: number) => Promise<unknown> = async () => {},
): Promise<boolean> {
  if (typeof jti !== 'string' || jti === '' || jti.length > JTI_LENGTH_MAX) return false;
  return db.tx(async (tx) => {
    const now = clock();
    const times = { issuedAt: (iat as number) * 1000, endsAt: (endsAt + 2 * SKEW_SECONDS) * 1000 };
    if (!(await insertUsedToken(tx, signer, jti, times))) return false;
    await also(tx, now);
    return true;
  });
}
