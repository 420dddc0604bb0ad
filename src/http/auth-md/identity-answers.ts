import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import type { OpenedAttempt } from '../../domain/claims/claim-attempts.ts';
import { POLL_SECONDS } from '../../domain/claims/claim-status.ts';
import type { SignedIdentity } from '../../domain/credentials/identity-assertions.ts';
import { secondsUntil } from '../../lib/time.ts';
import { PATHS } from '../server/paths.ts';
import { iso, toIso } from '../server/wire-times.ts';

/**
 * The answers of /agent/identity, which hold what versions 0.2 to 0.7 and production call the same things by: their names do
 * not collide, so one answer serves all (docs/dialects.md).
 */

const refreshToken = z.object({ value: z.string(), expires_at: iso });
export const identity = z.object({
  assertion: z.string(),
  expires_at: iso,
  refresh_token: refreshToken.optional(),
});
const attempt = z.object({ verification_uri: z.url(), expires_at: iso });
const typedCode = z.object({
  user_code: z.string().describe('For the human to type at verification_uri'),
  expires_in: z.int(),
  verification_uri: z.url(),
  interval: z.int().describe('Seconds between two polls of the token endpoint'),
});
const claimBlock = z.object({
  token: z.string(),
  expires_at: iso,
  url: z.url(),
  attempt: attempt.optional(),
});
const scopeList = z.array(z.string());

export const identityAnswer = z.object({
  id: z.string(),
  registration_id: z.string(),
  type: z.string(),
  registration_type: z.string().optional(),
  identity: identity.optional(),
  identity_assertion: z.string().optional(),
  assertion_expires: iso.optional(),
  scopes: z
    .union([scopeList, z.object({ pre_claim: scopeList.optional(), post_claim: scopeList.optional() })])
    .optional(),
  pre_claim_scopes: scopeList.optional(),
  post_claim_scopes: scopeList.optional(),
  claim: claimBlock.extend(typedCode.partial().shape).optional(),
  claim_token: z.string().optional(),
  claim_token_expires: iso.optional(),
  claim_url: z.url().optional(),
});

export const claimAnswer = z.object({
  id: z.string(),
  registration_id: z.string(),
  type: z.string().optional(),
  registration_type: z.string().optional(),
  claim_attempt_id: z.string(),
  status: z.literal('initiated'),
  expires_at: iso,
  attempt,
  claim_attempt: typedCode.optional(),
});

export const completeAnswer = z.object({
  id: z.string(),
  registration_id: z.string(),
  registration_type: z.string().optional(),
  status: z.literal('claimed'),
  identity,
  identity_assertion: z.string().optional(),
  assertion_expires: iso.optional(),
});

/** Of a claim by the word of a provider that needs no human any more. */
export const claimedAnswer = completeAnswer.extend({ type: z.literal('identity_assertion') });

export const refreshAnswer = z.object({ id: z.string(), type: z.literal('refresh'), identity });

/** `id` and `type` by their two names. */
export function named(id: string, type: string): object {
  return { id, registration_id: id, type, registration_type: type };
}

/** The identity as production nests it. */
export function nestedIdentity({
  assertion,
  expiresAt,
  refreshToken: refresh,
}: SignedIdentity): z.output<typeof identity> {
  return {
    assertion,
    expires_at: toIso(expiresAt),
    ...(refresh && { refresh_token: { value: refresh.value, expires_at: toIso(refresh.expiresAt) } }),
  };
}

/** The identity by the names of both. */
export function bothIdentities(signed: SignedIdentity): object {
  return { identity: nestedIdentity(signed), ...flatIdentity(signed) };
}

/** The identity as 0.2 to 0.7 name it. */
export function flatIdentity({ assertion, expiresAt }: SignedIdentity): object {
  return { identity_assertion: assertion, assertion_expires: toIso(expiresAt) };
}

/** The claim of a registration, with its first attempt if it has one. */
export function claimOf(
  deps: Pick<Deps, 'config' | 'clock'>,
  of: { claimToken: string; claimExpiresAt: number },
  opened?: OpenedAttempt,
): object {
  const url = deps.config.publicUrl + PATHS.identityClaim;
  const expiresAt = toIso(of.claimExpiresAt);
  return {
    claim_url: url,
    claim_token: of.claimToken,
    claim_token_expires: expiresAt,
    claim: {
      token: of.claimToken,
      expires_at: expiresAt,
      url,
      ...(opened && { attempt: attemptOf(opened), ...codeToType(deps, opened) }),
    },
  };
}

/** Where the human goes, and until when. */
export function attemptOf(opened: OpenedAttempt): z.output<typeof attempt> {
  return { verification_uri: opened.verificationUri, expires_at: toIso(opened.codeExpiresAt) };
}

/** The code that the agent shows its human; undefined where there is none. */
export function codeToType(
  deps: Pick<Deps, 'clock'>,
  opened: OpenedAttempt,
): z.output<typeof typedCode> | undefined {
  if (opened.typedCode === undefined) return undefined;
  return {
    user_code: opened.typedCode,
    expires_in: secondsUntil(opened.codeExpiresAt, deps.clock()),
    verification_uri: opened.verificationUri,
    interval: POLL_SECONDS,
  };
}
