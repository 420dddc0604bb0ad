import { type AuthMd, LOOKS } from './auth-md.ts';

/** What the answers of /agent/identity hold, member by member, at this moment of the world's clock; see assertShape. */

const VERIFICATION_URI = /^http:\/\/localhost:[0-9]+\/claim\?t=[\w.-]+$/;

/** `id` and `type` by their two names. */
export function named(type: string, id: string | RegExp = LOOKS.registration): object {
  return { id, registration_id: id, type, registration_type: type };
}

/** An identity as production nests it. */
export function nested(world: AuthMd, has: { refresh: boolean } = { refresh: true }): object {
  const refresh_token = { value: LOOKS.refresh, expires_at: world.iso(2_592_000) };
  return {
    assertion: LOOKS.signed,
    expires_at: world.iso(3600),
    ...(has.refresh && { refresh_token }),
  };
}

/** An identity as versions 0.2 to 0.7 have it. */
export function flat(world: AuthMd): object {
  return { identity_assertion: LOOKS.signed, assertion_expires: world.iso(3600) };
}

/** The claim of a registration that has no attempt yet. */
export function openClaim(world: AuthMd): object {
  const url = `${world.on.url}/agent/identity/claim`;
  const expires_at = world.iso(86_400);
  return {
    claim_url: url,
    claim_token: LOOKS.claimToken,
    claim_token_expires: expires_at,
    claim: { token: LOOKS.claimToken, expires_at, url },
  };
}

/** Where the human goes. */
export function attempt(world: AuthMd): object {
  return { verification_uri: VERIFICATION_URI, expires_at: world.iso(600) };
}

/** The code that the agent shows. */
export const TYPED = {
  user_code: LOOKS.digits,
  expires_in: 600,
  verification_uri: VERIFICATION_URI,
  interval: 5,
};

/** The whole of what an agent is told whose human is to vouch for it from the beginning. */
export function inFlight(world: AuthMd, type: string): object {
  const { claim, ...flatClaim } = openClaim(world) as { claim: object };
  return {
    ...named(type),
    post_claim_scopes: ['read', 'write'],
    scopes: { post_claim: ['read', 'write'] },
    ...flatClaim,
    claim: { ...claim, attempt: attempt(world), ...TYPED },
  };
}

/** What a claim answers. */
export function initiated(world: AuthMd, id: string): object {
  return {
    id,
    registration_id: id,
    claim_attempt_id: LOOKS.attempt,
    status: 'initiated',
    expires_at: world.iso(600),
    attempt: attempt(world),
  };
}

/** What a completion answers in production. */
export function completed(world: AuthMd, id: string): object {
  return { id, registration_id: id, status: 'claimed', identity: nested(world) };
}
