import type { TrustedIssuer } from '../../config/issuers.ts';
import { type Claims, checkValidity, type Verifier } from './id-jag.ts';
import {
  isAhead,
  openProviderToken,
  refusal,
  requiredText,
  requiredTime,
  tenantOf,
} from './provider-token.ts';

/** Security event tokens and logout tokens of agent providers. */

/** What an agent provider says has happened to one of its users. */
export interface SecurityEvent {
  issuer: TrustedIssuer;
  subject: string;
  tenant: string;
  jti: string;
  /** Epoch ms. */
  issuedAt: number;
  /** The URIs of what happened, known to us or not. */
  events: string[];
}

export type SecurityEventType = 'secevent+jwt' | 'logout+jwt';

const EVENT_AGE_SECONDS_MAX = 86_400;

/**
 * Verifies a security event token (RFC 8417), all but that it is new.
 *
 * @param typ what the path takes: the `typ` of the token must be this, letter by letter. A `logout+jwt` needs no `events`
 * @throws Failure `invalidAssertion` with the fault
 */
export async function verifySecurityEvent(
  deps: Verifier,
  token: string,
  typ: SecurityEventType,
): Promise<SecurityEvent> {
  const { issuer, claims } = await openProviderToken(deps, token, (given) => given === typ);
  const now = deps.clock();
  const issued = requiredTime(claims, 'iat');
  if (isAhead(issued, now)) throw refusal('expired', 'The token was issued in the future: see "iat".');
  if (now > (issued + EVENT_AGE_SECONDS_MAX) * 1000) {
    throw refusal('expired', 'The token is older than a day: see "iat".');
  }
  checkValidity(claims, now);
  return {
    issuer,
    subject: requiredText(claims, 'sub'),
    tenant: tenantOf(claims),
    jti: requiredText(claims, 'jti'),
    issuedAt: issued * 1000,
    events: eventsOf(claims, typ),
  };
}

function eventsOf({ events }: Claims, typ: SecurityEventType): string[] {
  if (events === undefined && typ === 'logout+jwt') return [];
  const isObject = typeof events === 'object' && events !== null && !Array.isArray(events);
  const uris = isObject ? Object.keys(events) : [];
  if (uris.length === 0 || !uris.every((uri) => URL.canParse(uri))) {
    throw refusal('malformed', '"events" must be an object with the URIs of what happened as names.');
  }
  return uris;
}
