import type { AuthorizationServerClient } from './authority.ts';
import { unavailable } from './errors.ts';
import type { VerifiedToken } from './token.ts';

/** What came of counting an action: what is left, or what to answer. */
export type QuotaResult =
  | { allowed: true; remaining: number; resetsAt: string }
  | {
      allowed: false;
      /** 402: a human who vouches for the agent unlocks more. 429: nothing does, until `resetsAt`. */
      status: 402 | 429;
      error: 'claim_required' | 'rate_limited';
      message: string;
      /** Seconds until the quota begins anew. */
      retryAfter: number;
      /** ISO 8601. */
      resetsAt: string;
      /** Where the human does that. */
      verificationUri: string | undefined;
    };

/** Counts one action at the authority, in one guarded step: of many at once, no more than are left are allowed. */
export async function consumeQuota(
  authority: AuthorizationServerClient,
  token: VerifiedToken,
  action: string,
): Promise<QuotaResult> {
  const answer = await authority.post('/resource/quota', { key_id: token.keyId, action });
  const { allowed, tier, max, remaining, resets_at: resetsAt, verification_uri: uri } = answer;
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
    verificationUri: typeof uri === 'string' ? uri : undefined,
  };
}
