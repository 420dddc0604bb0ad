import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, parseScope } from '../../lib/scopes.ts';
import { epochSeconds } from '../../lib/time.ts';
import { findRegistration, type RegistrationRow } from '../../store/registrations.ts';
import type { Work } from '../../work.ts';
import { startTokenFamily } from './refresh-tokens.ts';
import { sign, verify } from './signing-keys.ts';

/**
 * The assertions by which an agent says who it is: signed by us for ourselves, exchanged at the token endpoint for what APIs
 * take (auth.md v0.2, identity assertion). They are of a kind of their own, so that none is ever taken for a provider's (S-91).
 */

const TYP = 'agent-identity+jwt';

/** What an assertion says, and by what the next one is got. It is signed after the transaction that it comes from. */
export interface Identity {
  registrationId: string;
  generation: number;
  jti: string;
  /** The proven mailbox of its human, once it has one. */
  mailbox: string | undefined;
  /** All that it may be exchanged for, where a provider said so; undefined: what its agent may have. */
  scopes: string[] | undefined;
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
  refreshToken: { value: string; expiresAt: number } | undefined;
}

/** An identity as it is handed out. */
export interface SignedIdentity {
  assertion: string;
  /** Epoch ms. */
  expiresAt: number;
  refreshToken: { value: string; expiresAt: number } | undefined;
}

/**
 * An identity for a registration, in the caller's transaction.
 *
 * @param of.endsAt when the registration itself ends, if it does
 * @param of.refreshable whether it comes with a token to renew it by
 */
export async function mintIdentity(
  work: Work,
  of: {
    registration: Pick<RegistrationRow, 'id' | 'generation'>;
    mailbox: string | undefined;
    endsAt: number | undefined;
    refreshable: boolean;
    scopes?: string[] | undefined;
  },
): Promise<Identity> {
  const { now, deps } = work;
  const endsAt = of.endsAt ?? Infinity;
  return {
    registrationId: of.registration.id,
    generation: of.registration.generation,
    jti: newId('jti', now, deps.random),
    mailbox: of.mailbox,
    scopes: of.scopes,
    issuedAt: now,
    expiresAt: Math.min(now + deps.config.limits.assertionTtlSeconds * 1000, endsAt),
    refreshToken: of.refreshable ? await startTokenFamily(work, of.registration.id, endsAt) : undefined,
  };
}

/** Signs an identity. */
export async function signIdentity(deps: Deps, identity: Identity): Promise<SignedIdentity> {
  const issuer = deps.config.publicUrl;
  const assertion = await sign(deps, TYP, {
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

/** No assertion of ours is longer, and none of a provider may be. */
const LENGTH_MAX = 8192;

/**
 * The registration whose assertion this is, and the scopes beyond which it gives nothing.
 *
 * @throws Failure `invalidGrant` for whatever is not a live assertion of ours: foreign, forged, over or superseded
 */
export async function readAssertion(
  deps: Deps,
  assertion: string,
): Promise<{ registration: RegistrationRow; scopes: string[] | undefined }> {
  const claims = assertion.length > LENGTH_MAX ? undefined : await verify(deps, assertion, TYP);
  const registration = claims && (await findRegistration(deps.db, String(claims.sub)));
  if (registration === undefined || registration.generation !== claims?.generation) throw deadAssertion();
  return { registration, scopes: typeof claims.scope === 'string' ? parseScope(claims.scope) : undefined };
}

/** @throws nothing; makes the failure */
export function deadAssertion(): Failure {
  return new Failure(
    'invalidGrant',
    'The assertion is not valid: it must be the newest one that this service gave you, and not be over. A token of an agent provider goes to /agent/identity first.',
  );
}
