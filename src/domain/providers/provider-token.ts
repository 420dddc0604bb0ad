import type { TrustedIssuer } from '../../config/issuers.ts';
import type { Deps } from '../../deps.ts';
import { type AssertionFault, Failure } from '../../errors.ts';
import { type Algorithm, isAlgorithm, isSignedBy, parseSignedToken } from '../../lib/signed-token.ts';

/** What every token that an agent provider signs must be, whatever it says (draft-ietf-oauth-identity-assertion-authz-grant). */

type Claims = Record<string, unknown>;

/** A token whose signature and audience are right. Its claims are not looked at yet. */
export interface ProviderToken {
  issuer: TrustedIssuer;
  claims: Claims;
}

const TOKEN_BYTES_MAX = 8192;
const TEXT_LENGTH_MAX = 256;
/** Clocks of others may differ from ours by so much. */
const SKEW_SECONDS = 60;
/** How soon the keys of an issuer are asked for again after they could not be had. */
const KEYS_RETRY_SECONDS = 60;

/**
 * Opens a token: size, form, kind, issuer, algorithm, signature, audience, in this order. Nothing is fetched for an issuer
 * that is not trusted, and its name in the token is the only thing that chooses the keys (S-97).
 *
 * @param isKind whether the header's `typ` is the one that is asked for
 * @throws Failure `invalidAssertion`
 */
export async function openProviderToken(
  deps: Pick<Deps, 'config' | 'trust'>,
  token: string,
  isKind: (typ: string) => boolean,
): Promise<ProviderToken> {
  if (Buffer.byteLength(token) > TOKEN_BYTES_MAX) {
    throw refusal('malformed', `The token is larger than ${TOKEN_BYTES_MAX} bytes.`);
  }
  const { header, claims } = parse(token);
  if (typeof header.typ !== 'string' || !isKind(header.typ)) {
    throw refusal(
      'malformed',
      'The token is not of the kind that is expected here: see "typ" in its header.',
    );
  }
  const issuer = trustedIssuer(deps.config, claims.iss);
  if (!isAlgorithm(header.alg)) {
    throw refusal('signature', 'The token is signed by an algorithm that is not accepted. Use ES256.');
  }
  await checkSignature(deps, issuer, token, header, header.alg);
  checkAudience(deps.config, claims.aud);
  return { issuer, claims };
}

function parse(token: string): { header: Claims; claims: Claims } {
  try {
    return parseSignedToken(token);
  } catch (cause) {
    throw refusal('malformed', 'The token is not a signed JWT in compact form.', cause);
  }
}

function trustedIssuer(config: Deps['config'], iss: unknown): TrustedIssuer {
  const found = typeof iss === 'string' ? config.trustedIssuers.get(iss) : undefined;
  // What we sign ourselves is no word of a provider, whatever the configuration says (S-91).
  const isSelf = iss === config.publicUrl || iss === `${config.publicUrl}/`;
  if (found === undefined || isSelf) {
    throw refusal('issuer', 'The issuer of the token is not trusted by this service.');
  }
  return found;
}

async function checkSignature(
  deps: Pick<Deps, 'trust'>,
  issuer: TrustedIssuer,
  token: string,
  header: Claims,
  alg: Algorithm,
): Promise<void> {
  const found = await deps.trust
    .keysOf(issuer)
    .keyFor(header)
    .catch((cause) => {
      const message = 'The keys of the issuer cannot be had now. Present the token again later.';
      const details = { fault: 'key', retryAfterSeconds: KEYS_RETRY_SECONDS } as const;
      throw new Failure('invalidAssertion', message, details, cause);
    });
  if (found.kind === 'unknown') {
    throw refusal('key', 'The key that the token names ("kid") is none that its issuer publishes.');
  }
  if (found.kind === 'misfit' || !(await isSignedBy(token, found.key, alg))) {
    throw refusal('signature', 'The signature of the token is not valid.');
  }
}

/** Us, however a provider may write that (docs/dialects.md), and nobody besides. */
function checkAudience({ publicUrl, resources }: Deps['config'], aud: unknown): void {
  const only = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  if (typeof only !== 'string' || ![publicUrl, `${publicUrl}/`, resources[0]!.url].includes(only)) {
    throw refusal(
      'audience',
      'The token is not for this service alone: "aud" must be the issuer of its metadata.',
    );
  }
}

/** The refusal of a token. The message is public; the cause is for the log. */
export function refusal(fault: AssertionFault, message: string, cause?: unknown): Failure {
  return new Failure('invalidAssertion', message, { fault }, cause);
}

/** A claim that must be there, as text: what fits a column and a log line. */
export function requiredText(claims: Claims, name: string, lengthMax = TEXT_LENGTH_MAX): string {
  const value = claims[name];
  if (typeof value !== 'string' || value === '' || value.length > lengthMax) {
    throw refusal('malformed', `"${name}" must be a text of 1 to ${lengthMax} characters.`);
  }
  return value;
}

/** The tenant within a multi-tenant issuer, part of who `sub` is; '' where there is none. */
export function tenantOf(claims: Claims): string {
  return claims.tenant === undefined ? '' : requiredText(claims, 'tenant');
}

/**
 * A time in seconds, whole and plausible: not "1700000000", 1.5 or 1e18 (S-93).
 *
 * @returns undefined where the claim is not there
 */
export function optionalTime(claims: Claims, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw refusal('malformed', `"${name}" must be a whole number of seconds.`);
  }
  return value as number;
}

export function requiredTime(claims: Claims, name: string): number {
  const value = optionalTime(claims, name);
  if (value === undefined) throw refusal('malformed', `The token has no "${name}".`);
  return value;
}

/** Whether a moment (seconds) is later than the clocks of others may differ from ours. */
export function isAhead(seconds: number, now: number): boolean {
  return seconds * 1000 > now + SKEW_SECONDS * 1000;
}

/** Whether a moment (seconds) is so long past that no difference of clocks explains it. */
export function isPast(seconds: number, now: number): boolean {
  return now >= (seconds + SKEW_SECONDS) * 1000;
}
