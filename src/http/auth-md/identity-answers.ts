import { z } from 'zod';
import type { Deps } from '../../deps.ts';
import type { AttemptView } from '../../domain/claims/claim-attempts.ts';
import { POLL_SECONDS } from '../../domain/claims/claim-status.ts';
import type { SignedIdentity } from '../../domain/credentials/identity-assertions.ts';
import { secondsUntil } from '../../lib/time.ts';
import { PATHS } from '../server/paths.ts';
import { iso, toIso } from '../server/wire-times.ts';

/**
 * The responses of /agent/identity. Each carries the member names of auth.md v0.2 to v0.7 and those of production.
 * The names do not collide, so one response serves all versions (docs/dialects.md).
 */

const refreshToken = z.object({ value: z.string(), expires_at: iso });

/** An identity assertion as production nests it. */
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

/** The response of POST /agent/identity, except to `type: refresh`. */
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

/** The response of POST /agent/identity/claim where a human must decide. */
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

/** The response of POST /agent/identity/claim/complete. */
export const completeAnswer = z.object({
  id: z.string(),
  registration_id: z.string(),
  registration_type: z.string().optional(),
  status: z.literal('claimed'),
  identity,
  identity_assertion: z.string().optional(),
  assertion_expires: iso.optional(),
});

/** The response of POST /agent/identity/claim where an ID-JAG completes the claim without a human. */
export const claimedAnswer = completeAnswer.extend({ type: z.literal('identity_assertion') });

/** The response of POST /agent/identity to `type: refresh`. */
export const refreshAnswer = z.object({ id: z.string(), type: z.literal('refresh'), identity });

/** Renders `id` and `type` of a registration under both of their names. */
export function renderIds(id: string, type: string): object {
  return { id, registration_id: id, type, registration_type: type };
}

/** Renders a signed identity as production nests it. */
export function renderNestedIdentity({
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

/** Renders a signed identity under the names of production and of auth.md v0.2 to v0.7. */
export function renderIdentity(signed: SignedIdentity): object {
  return { identity: renderNestedIdentity(signed), ...renderFlatIdentity(signed) };
}

/** Renders a signed identity under the names of auth.md v0.2 to v0.7. */
export function renderFlatIdentity({ assertion, expiresAt }: SignedIdentity): object {
  return { identity_assertion: assertion, assertion_expires: toIso(expiresAt) };
}

/**
 * Renders the claim of a registration, flat (auth.md v0.2 to v0.7) and as the `claim` block (production).
 *
 * @param registered the claim token, and its expiry in epoch ms
 * @param opened the first attempt, if the registration started one
 */
export function renderClaim(
  deps: Pick<Deps, 'config' | 'clock'>,
  registered: { claimToken: string; claimExpiresAt: number },
  opened?: AttemptView,
): object {
  const url = deps.config.publicUrl + PATHS.identityClaim;
  const expiresAt = toIso(registered.claimExpiresAt);
  return {
    claim_url: url,
    claim_token: registered.claimToken,
    claim_token_expires: expiresAt,
    claim: {
      token: registered.claimToken,
      expires_at: expiresAt,
      url,
      ...(opened && { attempt: renderAttempt(opened), ...renderTypedCode(deps, opened) }),
    },
  };
}

/** Renders an attempt: the page for the human, and when its code expires. */
export function renderAttempt(opened: AttemptView): z.output<typeof attempt> {
  return { verification_uri: opened.verificationUri, expires_at: toIso(opened.codeExpiresAt) };
}

/** Renders the code that the agent shows its human; undefined if the attempt has no such code. */
export function renderTypedCode(
  deps: Pick<Deps, 'clock'>,
  opened: AttemptView,
): z.output<typeof typedCode> | undefined {
  if (opened.typedCode === undefined) return undefined;
  return {
    user_code: opened.typedCode,
    expires_in: secondsUntil(opened.codeExpiresAt, deps.clock()),
    verification_uri: opened.verificationUri,
    interval: POLL_SECONDS,
  };
}
