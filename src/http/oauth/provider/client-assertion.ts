import { errors } from 'oidc-provider';
import type { Deps } from '../../../deps.ts';
import { PATHS } from '../../server/paths.ts';

/** How far in the future the end of a client assertion may be: its `jti` is kept until then. */
const LIFETIME_SECONDS_MAX = 3600;

/**
 * Checks a client assertion (RFC 7523 section 3) beyond what oidc-provider does: it is addressed to this service alone.
 * One for several recipients could be presented here by another of them (S-88).
 *
 * @throws InvalidClientAuth
 */
export function checkClientAssertion(
  { config, clock }: Pick<Deps, 'config' | 'clock'>,
  claims: Record<string, unknown>,
): void {
  const { aud, exp } = claims;
  if (aud !== config.publicUrl && aud !== config.publicUrl + PATHS.token) {
    throw new errors.InvalidClientAuth('aud must be the issuer or the token endpoint, as one text');
  }
  if (Number(exp) > clock() / 1000 + LIFETIME_SECONDS_MAX) {
    throw new errors.InvalidClientAuth('the assertion lives too long');
  }
}
