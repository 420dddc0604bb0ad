import type { TrustedIssuer } from '../../config/issuers.ts';
import type { Deps } from '../../deps.ts';
import { Failure, unavailable } from '../../errors.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { parseScope } from '../../lib/scopes.ts';
import {
  invalidProviderToken,
  isAhead,
  isPast,
  optionalTime,
  type ProviderToken,
  requiredText,
  requiredTime,
  tenantOf,
  verifyProviderToken,
} from './provider-token.ts';

/**
 * The verified claims of an ID-JAG, in which an agent provider vouches for one of its users. It may be a replay: see
 * `jti`.
 */
export interface VerifiedAssertion {
  issuer: TrustedIssuer;
  /** Identifies the user at the issuer, together with `tenant`. */
  subject: string;
  /** '' if the issuer has no tenants. */
  tenant: string;
  /** To be consumed once (S-94): see consumeAssertion(). */
  jti: string;
  /** Canonical, and verified by the issuer. */
  mailbox: string;
  clientId: string;
  /** The scopes to which the provider limits its agent; undefined: no such limit. */
  scopes: string[] | undefined;
  /** For the audit only: the provider's names for its product and for the run. Untrusted text. */
  agentPlatform?: string;
  agentContextId?: string;
  /** Epoch ms, both. */
  issuedAt: number;
  expiresAt: number;
}

/** The claims of a token, with unverified types. */
export type Claims = Record<string, unknown>;

/** What verification depends on. */
export type VerifierDeps = Pick<Deps, 'config' | 'clock' | 'providerDocuments'>;

/** The `application/` prefix is optional (RFC 7515 section 4.1.9). */
export const ID_JAG_TYPE = /^(?:application\/)?oauth-id-jag\+jwt$/i;

/**
 * The bound on the lifetime of an assertion (S-93). It allows for what providers sign, for clock skew, and for queues.
 */
const LIFETIME_SECONDS_MAX = 600;

/** The longest `client_id` of an assertion. */
export const CLIENT_ID_LENGTH_MAX = 512;

/**
 * Verifies an identity assertion (ID-JAG) that a trusted agent provider addressed to this service
 * (draft-ietf-oauth-identity-assertion-authz-grant). A replay passes: the transaction that acts on the assertion must
 * consume its `jti`.
 *
 * @param assertion a JWT in compact form
 * @throws Failure `invalidAssertion` with the fault; `loginRequired` if the user must log in at the provider again
 */
export async function verifyIdJag(deps: VerifierDeps, assertion: string): Promise<VerifiedAssertion> {
  const token = await verifyProviderToken(deps, assertion, (typ) => ID_JAG_TYPE.test(typ));
  const { issuer, claims } = token;
  const now = deps.clock();
  if (claims.cnf !== undefined) {
    throw invalidProviderToken(
      'malformed',
      'The assertion is bound to a key ("cnf"), which cannot be proved here.',
    );
  }
  const expiresAt = checkLifetime(claims, now);
  const issuedAt = requiredTime(claims, 'iat') * 1000;
  const subject = requiredText(claims, 'sub');
  const tenant = tenantOf(claims);
  const jti = requiredText(claims, 'jti');
  const clientId = await checkClient(deps, token);
  checkLoginAge(optionalTime(claims, 'auth_time'), issuer, now);
  const mailbox = mailboxOf(claims, issuer);
  checkLoginMethods(claims, issuer);
  const scopes = scopesOf(claims);
  return {
    issuer,
    subject,
    tenant,
    jti,
    mailbox,
    clientId,
    scopes,
    ...agentDetailsOf(claims),
    issuedAt,
    expiresAt,
  };
}

/**
 * Makes a verification retryable: while the keys of an issuer cannot be fetched, the caller must retry later and not
 * treat the token as rejected.
 *
 * @throws Failure `unavailable` in place of a failure that has `retryAfterSeconds`
 */
export async function retryableIfKeysUnavailable<Verified>(verified: Promise<Verified>): Promise<Verified> {
  try {
    return await verified;
  } catch (error) {
    const isTemporary = error instanceof Failure && error.details.retryAfterSeconds !== undefined;
    throw isTemporary ? unavailable(error, error.details.retryAfterSeconds) : error;
  }
}

/**
 * Checks `exp` and `nbf`, where a token has them (RFC 7519 sections 4.1.4 and 4.1.5).
 *
 * @param now epoch ms
 * @throws Failure `invalidAssertion`
 */
export function checkValidity(claims: Claims, now: number): void {
  const [exp, nbf] = [optionalTime(claims, 'exp'), optionalTime(claims, 'nbf')];
  if (exp !== undefined && isPast(exp, now)) {
    throw invalidProviderToken('expired', 'The token is expired. Ask the provider for a new one.');
  }
  if (nbf !== undefined && isAhead(nbf, now)) {
    throw invalidProviderToken('expired', 'The token is not valid yet: see "nbf".');
  }
}

/** Checks that an ID-JAG is valid now, and not for too long. Returns the expiry in epoch ms. @throws Failure `invalidAssertion` */
export function checkLifetime(claims: Claims, now: number): number {
  const [exp, iat] = [requiredTime(claims, 'exp'), requiredTime(claims, 'iat')];
  checkValidity(claims, now);
  if (isAhead(iat, now))
    throw invalidProviderToken('expired', 'The assertion was issued in the future: see "iat".');
  if (exp <= iat || exp - iat > LIFETIME_SECONDS_MAX) {
    throw invalidProviderToken(
      'malformed',
      `"exp" must be 1 to ${LIFETIME_SECONDS_MAX} seconds after "iat".`,
    );
  }
  return exp * 1000;
}

/**
 * Returns the `client_id`: the issuer itself, or a client that the issuer may speak for
 * (draft-ietf-oauth-identity-assertion-authz-grant).
 */
async function checkClient(deps: VerifierDeps, { issuer, claims }: ProviderToken): Promise<string> {
  const clientId = requiredText(claims, 'client_id', CLIENT_ID_LENGTH_MAX);
  if (clientId === issuer.issuer || issuer.clientIds?.includes(clientId)) return clientId;
  const isOwn = isLocalClient(issuer, clientId);
  const document =
    issuer.clientIds === undefined && (isOwn || clientId.startsWith('https://'))
      ? await deps.providerDocuments.clientDocument(clientId, isOwn).catch((cause) => {
          throw clientFailure(cause);
        })
      : undefined;
  // The client must publish the key set that verified this assertion.
  if (document?.jwksUri !== issuer.jwksUri) throw clientFailure();
  return clientId;
}

/**
 * During development, a provider and its client may share an http origin. Everywhere else a client id is an https URL:
 * anybody on the network path can alter a document that is fetched over http (CIMD section 3).
 */
function isLocalClient({ issuer }: TrustedIssuer, clientId: string): boolean {
  if (!issuer.startsWith('http:') || !URL.canParse(clientId)) return false;
  return new URL(clientId).origin === new URL(issuer).origin && new URL(clientId).href === clientId;
}

/**
 * The same failure whether the URL cannot be fetched or serves something else: an unauthenticated caller must not probe
 * other hosts through this service (S-86).
 */
function clientFailure(cause?: unknown): Failure {
  return invalidProviderToken(
    'client',
    'The issuer may not speak for this client: see "client_id". It is the issuer, one that is listed here, or an https URL whose document has the "jwks_uri" of the issuer.',
    cause,
  );
}

/**
 * The user must have logged in recently, so that a stolen session at the provider does not work forever (auth.md v0.5,
 * login_required and interaction_required).
 *
 * @param authTime epoch seconds; undefined: the issuer does not say
 * @throws Failure `loginRequired`
 */
export function checkLoginAge(
  authTime: number | undefined,
  { maxAgeSeconds }: TrustedIssuer,
  now: number,
): void {
  if (authTime === undefined || isAhead(authTime, now) || isPast(authTime + maxAgeSeconds, now)) {
    const message = 'The user must log in at the agent provider again: see "auth_time" in the assertion.';
    throw new Failure('loginRequired', message, { maxAgeSeconds });
  }
}

/**
 * Returns the mailbox of the user. Accounts are identified by mailbox. A verified phone number does not prove who owns an
 * account (S-95).
 *
 * @throws Failure `invalidAssertion` if the issuer did not verify it, or may not speak for it
 */
export function mailboxOf(claims: Claims, { emailDomains }: TrustedIssuer): string {
  const mailbox = typeof claims.email === 'string' ? parseMailbox(claims.email) : undefined;
  if (mailbox === undefined || claims.email_verified !== true) {
    throw invalidProviderToken('contact', 'The assertion must carry "email", and "email_verified": true.');
  }
  if (emailDomains !== undefined && !emailDomains.includes(mailbox.slice(mailbox.lastIndexOf('@') + 1))) {
    throw invalidProviderToken('contact', 'The issuer may not speak for mailboxes of this domain.');
  }
  return mailbox;
}

/** Returns the scopes to which the issuer limits the bearer; undefined: no such limit. @throws Failure `invalidAssertion` */
export function scopesOf({ scope }: Claims): string[] | undefined {
  if (scope === undefined) return undefined;
  if (typeof scope === 'string' && scope.trim() !== '') return parseScope(scope);
  throw invalidProviderToken('malformed', '"scope" must be words separated by spaces.');
}

/** Checks that the user logged in as strongly as the configuration demands. @throws Failure `invalidAssertion` */
export function checkLoginMethods(claims: Claims, issuer: TrustedIssuer): void {
  const used: unknown[] = Array.isArray(claims.amr) ? claims.amr : [];
  if (!issuer.amr.every((method) => used.includes(method))) {
    throw invalidProviderToken(
      'login',
      'The user did not log in as strongly as this service demands: see "amr".',
    );
  }
}

/** No decision depends on these claims, so a value that is not a short text is dropped and not rejected. */
function agentDetailsOf(claims: Claims): Pick<VerifiedAssertion, 'agentPlatform' | 'agentContextId'> {
  const asShortText = (value: unknown) =>
    typeof value === 'string' && value.length <= 256 ? value : undefined;
  const [agentPlatform, agentContextId] = [
    asShortText(claims.agent_platform),
    asShortText(claims.agent_context_id),
  ];
  return {
    ...(agentPlatform !== undefined && { agentPlatform }),
    ...(agentContextId !== undefined && { agentContextId }),
  };
}
