import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, parseScope } from '../../lib/scopes.ts';
import { epochSeconds } from '../../lib/time.ts';
import { findRegistration, type RegistrationRow } from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { startTokenFamily } from './refresh-tokens.ts';
import { signOwnToken, verifyOwnToken } from './signing-keys.ts';

/**
 * Identity assertions (auth.md v0.2, identity assertion): JWTs that this service signs and addresses to itself. An
 * agent exchanges one at the token endpoint for an access token. They have their own `typ`, so that none passes for an
 * assertion of an agent provider (S-91).
 */

const TYP = 'agent-identity+jwt';

/**
 * The content of an identity assertion, and the refresh token issued with it. It is signed after its transaction
 * commits.
 */
export interface Identity {
  registrationId: string;
  /** The generation of the registration. A claim increments it, which invalidates earlier assertions. */
  generation: number;
  jti: string;
  /** The proven mailbox of the owner; undefined while the agent is unclaimed. */
  mailbox: string | undefined;
  /** The scopes to which an agent provider limits it; undefined: no such limit. */
  scopes: string[] | undefined;
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
  refreshToken: { value: string; expiresAt: number } | undefined;
}

/** An identity as it is sent to the agent. */
export interface SignedIdentity {
  /** JWT in compact form. */
  assertion: string;
  /** Epoch ms. */
  expiresAt: number;
  refreshToken: { value: string; expiresAt: number } | undefined;
}

/**
 * Creates an identity for a registration, in the caller's transaction.
 *
 * @param terms.endsAt epoch ms: when the registration expires; undefined: never
 * @param terms.refreshable whether a refresh token is issued with it
 * @param terms.scopes see Identity
 */
export async function mintIdentity(
  work: Work,
  terms: {
    registration: Pick<RegistrationRow, 'id' | 'generation'>;
    mailbox: string | undefined;
    endsAt: number | undefined;
    refreshable: boolean;
    scopes?: string[] | undefined;
  },
): Promise<Identity> {
  const { now, deps } = work;
  const endsAt = terms.endsAt ?? Infinity;
  return {
    registrationId: terms.registration.id,
    generation: terms.registration.generation,
    jti: newId('jti', now, deps.random),
    mailbox: terms.mailbox,
    scopes: terms.scopes,
    issuedAt: now,
    expiresAt: Math.min(now + deps.config.limits.assertionTtlSeconds * 1000, endsAt),
    refreshToken: terms.refreshable ? await startTokenFamily(work, terms.registration.id, endsAt) : undefined,
  };
}

/** Signs an identity as a JWT with the current signing key. */
export async function signIdentity(deps: Deps, identity: Identity): Promise<SignedIdentity> {
  const issuer = deps.config.publicUrl;
  const assertion = await signOwnToken(deps, TYP, {
    iss: issuer,
    aud: issuer,
    sub: identity.registrationId,
    jti: identity.jti,
    iat: epochSeconds(identity.issuedAt),
    exp: epochSeconds(identity.expiresAt),
    generation: identity.generation,
    ...(identity.scopes !== undefined && { scope: formatScope(identity.scopes) }),
    ...(identity.mailbox !== undefined && { email: identity.mailbox, email_verified: true }),
  });
  return { assertion, expiresAt: identity.expiresAt, refreshToken: identity.refreshToken };
}

/** In characters. No assertion that we sign is longer, and none of an agent provider may be. */
const LENGTH_MAX = 8192;

/**
 * Verifies an identity assertion that this service signed.
 *
 * @returns its registration, and the scopes to which it is limited; undefined: no such limit
 * @throws Failure `invalidGrant` if it is foreign, forged, expired or superseded (RFC 7523 section 3.1)
 */
export async function verifyIdentityAssertion(
  deps: Deps,
  assertion: string,
): Promise<{ registration: RegistrationRow; scopes: string[] | undefined }> {
  const claims = assertion.length > LENGTH_MAX ? undefined : await verifyOwnToken(deps, assertion, TYP);
  const registration = claims && (await findRegistration(deps.db, String(claims.sub)));
  if (registration === undefined || registration.generation !== claims?.generation)
    throw invalidAssertionGrant();
  return { registration, scopes: typeof claims.scope === 'string' ? parseScope(claims.scope) : undefined };
}

/** Creates the failure for an identity assertion that is not valid. */
export function invalidAssertionGrant(): Failure {
  return new Failure(
    'invalidGrant',
    'The assertion is not valid: it must be the newest one that this service gave you, and not be over. A token of an agent provider goes to /agent/identity first.',
  );
}
