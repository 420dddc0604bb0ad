import type { TrustedIssuer } from '../../config/issuers.ts';
import type { Deps } from '../../deps.ts';
import { type AssertionFault, Failure } from '../../errors.ts';
import { type Algorithm, isAlgorithm, parseSignedToken, verifySignature } from '../../lib/signed-token.ts';

/** Checks that every token of an agent provider must pass (draft-ietf-oauth-identity-assertion-authz-grant). */

type Claims = Record<string, unknown>;

/** A token whose signature, issuer and audience are verified. Its other claims are not. */
export interface ProviderToken {
  issuer: TrustedIssuer;
  claims: Claims;
}

const TOKEN_BYTES_MAX = 8192;
const TEXT_LENGTH_MAX = 256;

/** How far the clock of a provider may differ from ours. */
const SKEW_SECONDS = 60;

/** How long a caller is told to wait while the keys of an issuer cannot be fetched. */
const KEYS_RETRY_SECONDS = 60;

/**
 * Verifies a token: size, form, type, issuer, algorithm, signature and audience, in this order. It fetches nothing for
 * an untrusted issuer, and only `iss` selects the key set (S-97).
 *
 * @param isExpectedType whether the `typ` of the header is the expected one
 * @throws Failure `invalidAssertion` with the fault; with `retryAfterSeconds` while the keys cannot be fetched
 */
export async function verifyProviderToken(
  deps: Pick<Deps, 'config' | 'providerDocuments'>,
  token: string,
  isExpectedType: (typ: string) => boolean,
): Promise<ProviderToken> {
  if (Buffer.byteLength(token) > TOKEN_BYTES_MAX) {
    throw invalidProviderToken('malformed', `The token is larger than ${TOKEN_BYTES_MAX} bytes.`);
  }
  const { header, claims } = parseToken(token);
  if (typeof header.typ !== 'string' || !isExpectedType(header.typ)) {
    throw invalidProviderToken(
      'malformed',
      'The token is not of the kind that is expected here: see "typ" in its header.',
    );
  }
  const issuer = findTrustedIssuer(deps.config, claims.iss);
  if (!isAlgorithm(header.alg)) {
    throw invalidProviderToken(
      'signature',
      'The token is signed by an algorithm that is not accepted. Use ES256.',
    );
  }
  await checkSignature(deps, issuer, token, header, header.alg);
  checkAudience(deps.config, claims.aud);
  return { issuer, claims };
}

function parseToken(token: string): { header: Claims; claims: Claims } {
  try {
    return parseSignedToken(token);
  } catch (cause) {
    throw invalidProviderToken('malformed', 'The token is not a signed JWT in compact form.', cause);
  }
}

function findTrustedIssuer(config: Deps['config'], iss: unknown): TrustedIssuer {
  const found = typeof iss === 'string' ? config.trustedIssuers.get(iss) : undefined;
  // A token of our own is never one of a provider, whatever the configuration says (S-91).
  const isSelf = iss === config.publicUrl || iss === `${config.publicUrl}/`;
  if (found === undefined || isSelf) {
    throw invalidProviderToken('issuer', 'The issuer of the token is not trusted by this service.');
  }
  return found;
}

async function checkSignature(
  deps: Pick<Deps, 'providerDocuments'>,
  issuer: TrustedIssuer,
  token: string,
  header: Claims,
  alg: Algorithm,
): Promise<void> {
  const found = await deps.providerDocuments
    .keysOf(issuer)
    .keyFor(header)
    .catch((cause) => {
      const message = 'The keys of the issuer cannot be fetched now. Present the token again later.';
      const details = { fault: 'key', retryAfterSeconds: KEYS_RETRY_SECONDS } as const;
      throw new Failure('invalidAssertion', message, details, cause);
    });
  if (found.kind === 'unknown') {
    throw invalidProviderToken(
      'key',
      'The issuer does not publish the key that the token names: see "kid" in its header.',
    );
  }
  if (found.kind === 'misfit' || !(await verifySignature(token, found.key, alg))) {
    throw invalidProviderToken('signature', 'The signature of the token is not valid.');
  }
}

/** The only audience must be this service, in one of the forms that providers use (docs/dialects/providers.md). */
function checkAudience({ publicUrl, resources }: Deps['config'], aud: unknown): void {
  const audience = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  if (typeof audience !== 'string' || ![publicUrl, `${publicUrl}/`, resources[0]!.url].includes(audience)) {
    throw invalidProviderToken(
      'audience',
      'The token is not for this service alone: "aud" must be the issuer of its metadata.',
    );
  }
}

/** Creates the failure for a token that is not valid. The message is public; the cause is for the log. */
export function invalidProviderToken(fault: AssertionFault, message: string, cause?: unknown): Failure {
  return new Failure('invalidAssertion', message, { fault }, cause);
}

/**
 * Reads a required text claim. The length fits its column and a log line.
 *
 * @throws Failure `invalidAssertion`
 */
export function requiredText(claims: Claims, name: string, lengthMax = TEXT_LENGTH_MAX): string {
  const value = claims[name];
  if (typeof value !== 'string' || value === '' || value.length > lengthMax) {
    throw invalidProviderToken('malformed', `"${name}" must be a text of 1 to ${lengthMax} characters.`);
  }
  return value;
}

/** Reads the tenant of a multi-tenant issuer, within which `sub` is unique. Returns '' if the token names none. */
export function tenantOf(claims: Claims): string {
  return claims.tenant === undefined ? '' : requiredText(claims, 'tenant');
}

/**
 * Reads an optional time claim, a whole number of seconds: not "1700000000", 1.5 or 1e18 (S-93).
 *
 * @returns epoch seconds; undefined if the token has no such claim
 * @throws Failure `invalidAssertion`
 */
export function optionalTime(claims: Claims, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw invalidProviderToken('malformed', `"${name}" must be a whole number of seconds.`);
  }
  return value as number;
}

/** Reads a required time claim, see optionalTime(). */
export function requiredTime(claims: Claims, name: string): number {
  const value = optionalTime(claims, name);
  if (value === undefined) throw invalidProviderToken('malformed', `The token has no "${name}".`);
  return value;
}

/** Whether a time (epoch seconds) is after `now` (epoch ms) by more than clocks may differ. */
export function isAhead(seconds: number, now: number): boolean {
  return seconds * 1000 > now + SKEW_SECONDS * 1000;
}

/** Whether a time (epoch seconds) is before `now` (epoch ms) by at least as much as clocks may differ. */
export function isPast(seconds: number, now: number): boolean {
  return now >= (seconds + SKEW_SECONDS) * 1000;
}
