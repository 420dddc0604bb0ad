import type { AuthorizationServerClient } from './authorization-server-client.ts';
import { unavailable } from './errors.ts';
import type { VerifiedToken } from './token.ts';

/** Whether an action is allowed: with how many are left, or with what to respond. */
export type QuotaResult =
  | {
      allowed: true;
      /** How many more actions are allowed until `resetsAt`. */
      remaining: number;
      /** ISO 8601. */
      resetsAt: string;
    }
  | {
      allowed: false;
      /** The HTTP status. 402: a higher quota applies once a human claims the agent. 429: wait until `resetsAt`. */
      status: 402 | 429;
      error: 'claim_required' | 'rate_limited';
      /** For the client. */
      message: string;
      /** Seconds until `resetsAt`. */
      retryAfter: number;
      /** When the quota is full again; ISO 8601. */
      resetsAt: string;
      /** The URL at which the human claims the agent. */
      verificationUri: string | undefined;
    };

/**
 * Consumes one use at the authorization server, atomically: concurrent calls never exceed the quota.
 *
 * @throws VerificationError `unavailable`
 */
export async function consumeQuota(
  client: AuthorizationServerClient,
  token: VerifiedToken,
  action: string,
): Promise<QuotaResult> {
  const answer = await client.post('/resource/quota', { key_id: token.keyId, action });
  const { allowed, tier, max, remaining, resets_at: resetsAt, verification_uri: verificationUri } = answer;
  if (typeof allowed !== 'boolean' || typeof remaining !== 'number' || typeof resetsAt !== 'string') {
    throw unavailable(new Error('the answer of the authority about a quota has another shape'));
  }
  if (allowed) return { allowed, remaining, resetsAt };
  const isAnonymous = tier === 'anonymous';
  return {
    allowed,
    status: isAnonymous ? 402 : 429,
    error: isAnonymous ? 'claim_required' : 'rate_limited',
    message: isAnonymous
      ? `All ${max} of this month are used. A human who vouches for you at verification_uri unlocks more.`
      : `All ${max} of this month are used.`,
    retryAfter: Math.max(1, Math.ceil((Date.parse(resetsAt) - Date.now()) / 1000)),
    resetsAt,
    verificationUri: typeof verificationUri === 'string' ? verificationUri : undefined,
  };
}
