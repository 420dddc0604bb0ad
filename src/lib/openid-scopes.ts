/**
 * The scopes of OpenID Connect that this service knows (OpenID Connect Core 1.0 section 5.4). All others belong to an
 * API; a configured scope cannot have one of these names.
 */
export const OPENID_SCOPES: ReadonlySet<string> = new Set(['openid', 'offline_access', 'email', 'profile']);

/** Scopes that OpenID Connect defines too, and that give nothing here: an account has no address or phone number. */
export const UNUSED_OPENID_SCOPES: ReadonlySet<string> = new Set(['address', 'phone']);

/** The algorithms by which a client may sign its assertions (RFC 7523 section 2.2). */
export const CLIENT_ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const;

/** How a human signed in (OpenID Connect Core 1.0 section 2, `acr`). */
export const ACR_VALUES = {
  mailbox: 'urn:vouchsafe:acr:mailbox',
  secondFactor: 'urn:vouchsafe:acr:second-factor',
} as const;

/** The algorithms by which a client may sign the proofs of its key (RFC 9449). */
export const PROOF_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA'] as const;
