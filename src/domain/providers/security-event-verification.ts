import type { TrustedIssuer } from '../../config/issuers.ts';
import { type Claims, checkValidity, type VerifierDeps } from './id-jag.ts';
import {
  invalidProviderToken,
  isAhead,
  requiredText,
  requiredTime,
  tenantOf,
  verifyProviderToken,
} from './provider-token.ts';

/** Verifies security event tokens (RFC 8417) and logout tokens of agent providers. */

/** The verified claims of a token in which an agent provider reports what happened to one of its users. */
export interface SecurityEvent {
  issuer: TrustedIssuer;
  /** Identifies the user at the issuer, together with `tenant`. */
  subject: string;
  /** '' if the issuer has no tenants. */
  tenant: string;
  /** Whether it was used before is not verified. */
  jti: string;
  /** Epoch ms. */
  issuedAt: number;
  /** The URIs of the event types (RFC 8417 section 2.2), also of unknown ones. */
  events: string[];
}

/** The `typ` of a security event token, or of a logout token as auth.md v0.1 has it. */
export type SecurityEventType = 'secevent+jwt' | 'logout+jwt';

/** How late an event may be delivered (docs/adr/0011-agent-providers.md). */
const EVENT_AGE_SECONDS_MAX = 86_400;

/**
 * Verifies a security event token (RFC 8417) or a logout token. A replay passes: the transaction that acts on the token
 * must consume its `jti`.
 *
 * @param typ the exact `typ` that the token must have. A `logout+jwt` needs no `events`
 * @throws Failure `invalidAssertion` with the fault
 */
export async function verifySecurityEvent(
  deps: VerifierDeps,
  token: string,
  typ: SecurityEventType,
): Promise<SecurityEvent> {
  const { issuer, claims } = await verifyProviderToken(deps, token, (tokenType) => tokenType === typ);
  const now = deps.clock();
  const iat = requiredTime(claims, 'iat');
  if (isAhead(iat, now))
    throw invalidProviderToken('expired', 'The token was issued in the future: see "iat".');
  if (now > (iat + EVENT_AGE_SECONDS_MAX) * 1000) {
    throw invalidProviderToken('expired', 'The token is older than a day: see "iat".');
  }
  checkValidity(claims, now);
  return {
    issuer,
    subject: requiredText(claims, 'sub'),
    tenant: tenantOf(claims),
    jti: requiredText(claims, 'jti'),
    issuedAt: iat * 1000,
    events: eventsOf(claims, typ),
  };
}

function eventsOf({ events }: Claims, typ: SecurityEventType): string[] {
  if (events === undefined && typ === 'logout+jwt') return [];
  const isObject = typeof events === 'object' && events !== null && !Array.isArray(events);
  const uris = isObject ? Object.keys(events) : [];
  if (uris.length === 0 || !uris.every((uri) => URL.canParse(uri))) {
    throw invalidProviderToken(
      'malformed',
      '"events" must be an object with the URIs of what happened as names.',
    );
  }
  return uris;
}
