import type { TrustedIssuer } from '../../config/issuers.ts';
import type { Deps } from '../../deps.ts';
import { Failure, unavailable } from '../../errors.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { parseScope } from '../../lib/scopes.ts';
import {
  isAhead,
  isPast,
  openProviderToken,
  optionalTime,
  type ProviderToken,
  refusal,
  requiredText,
  requiredTime,
  tenantOf,
} from './provider-token.ts';

/** What an agent provider says of one of its users, to us and for now. Whether it was said before is not looked at. */
export interface VerifiedAssertion {
  issuer: TrustedIssuer;
  /** Who the user is at the issuer: `tenant` is part of it, '' where there is none. */
  subject: string;
  tenant: string;
  /** To be taken once (S-94). */
  jti: string;
  /** Canonical, and verified by the issuer. */
  mailbox: string;
  clientId: string;
  /** All that the provider lets its agent have; undefined: it says nothing of it. */
  scopes: string[] | undefined;
  /** For the audit alone: what the provider calls its product, and the run. Untrusted texts. */
  agentPlatform?: string;
  agentContextId?: string;
  /** Epoch ms. */
  /** Epoch ms. */
  issuedAt: number;
  expiresAt: number;
}

export type Claims = Record<string, unknown>;
export type Verifier = Pick<Deps, 'config' | 'clock' | 'trust'>;

const ID_JAG_TYPE = /^(?:application\/)?oauth-id-jag\+jwt$/i;
/** S-93 has half of it; what providers sign and how clocks and queues are asks for this much. */
const LIFETIME_SECONDS_MAX = 600;

const CLIENT_ID_LENGTH_MAX = 512;

/**
 * Verifies an identity assertion (ID-JAG) that a trusted agent provider addressed to us, all but that it is new: take its
 * `jti` in the transaction that acts on it (draft-ietf-oauth-identity-assertion-authz-grant).
 *
 * @throws Failure `invalidAssertion` with the fault, or `loginRequired` where the user must log in at the provider again
 */
export async function verifyIdJag(deps: Verifier, assertion: string): Promise<VerifiedAssertion> {
  const token = await openProviderToken(deps, assertion, (typ) => ID_JAG_TYPE.test(typ));
  const { issuer, claims } = token;
  const now = deps.clock();
  if (claims.cnf !== undefined) {
    throw refusal('malformed', 'The assertion is bound to a key ("cnf"), which cannot be proved here.');
  }
  const expiresAt = checkLifetime(claims, now);
  const issuedAt = requiredTime(claims, 'iat') * 1000;
  const subject = requiredText(claims, 'sub');
  const tenant = tenantOf(claims);
  const jti = requiredText(claims, 'jti');
  const clientId = await checkClient(deps, token);
  checkLogin(claims, issuer, now);
  const mailbox = verifiedMailbox(claims, issuer);
  checkLoginMethods(claims, issuer);
  const scopes = scopesOf(claims);
  return { issuer, subject, tenant, jti, mailbox, clientId, scopes, ...agentOf(claims), issuedAt, expiresAt };
}

/**
 * What is verified, or that it cannot be for now: where the keys of an issuer cannot be had, whoever presents a token is to come
 * again, and not take it for refused.
 *
 * @throws Failure `unavailable` in the place of such a refusal
 */
export async function retryableIfKeysUnavailable<Verified>(verified: Promise<Verified>): Promise<Verified> {
  try {
    return await verified;
  } catch (error) {
    const isForNow = error instanceof Failure && error.details.retryAfterSeconds !== undefined;
    throw isForNow ? unavailable(error, error.details.retryAfterSeconds) : error;
  }
}

/** Where `exp` and `nbf` are there, they hold. */
export function checkValidity(claims: Claims, now: number): void {
  const [expires, begins] = [optionalTime(claims, 'exp'), optionalTime(claims, 'nbf')];
  if (expires !== undefined && isPast(expires, now)) {
    throw refusal('expired', 'The token is expired. Ask the provider for a new one.');
  }
  if (begins !== undefined && isAhead(begins, now)) {
    throw refusal('expired', 'The token is not valid yet: see "nbf".');
  }
}

/** @returns when it ends, epoch ms */
function checkLifetime(claims: Claims, now: number): number {
  const [expires, issued] = [requiredTime(claims, 'exp'), requiredTime(claims, 'iat')];
  checkValidity(claims, now);
  if (isAhead(issued, now)) throw refusal('expired', 'The assertion was issued in the future: see "iat".');
  if (expires <= issued || expires - issued > LIFETIME_SECONDS_MAX) {
    throw refusal('malformed', `"exp" must be 1 to ${LIFETIME_SECONDS_MAX} seconds after "iat".`);
  }
  return expires * 1000;
}

/** Who presents it: the issuer itself, or a client that it may speak for (draft-ietf-oauth-identity-assertion-authz-grant). */
async function checkClient(deps: Verifier, { issuer, claims }: ProviderToken): Promise<string> {
  const clientId = requiredText(claims, 'client_id', CLIENT_ID_LENGTH_MAX);
  if (clientId === issuer.issuer || issuer.clientIds?.includes(clientId)) return clientId;
  const isOwn = isLocalClient(issuer, clientId);
  const document =
    issuer.clientIds === undefined && (isOwn || clientId.startsWith('https://'))
      ? await deps.trust.clientDocument(clientId, isOwn).catch((cause) => {
          throw clientRefusal(cause);
        })
      : undefined;
  // Whoever may sign for a client is who signed here.
  if (document?.jwksUri !== issuer.jwksUri) throw clientRefusal();
  return clientId;
}

/**
 * A client of a provider on a developer's machine lies beside it, on http. Everywhere else a client is an https URL: what is fetched over
 * http, anybody in between may have written (CIMD section 3).
 */
function isLocalClient({ issuer }: TrustedIssuer, clientId: string): boolean {
  if (!issuer.startsWith('http:') || !URL.canParse(clientId)) return false;
  return new URL(clientId).origin === new URL(issuer).origin && new URL(clientId).href === clientId;
}

/** The same whether the URL leads nowhere or to something else: it is a stranger who asks what is there (S-86). */
function clientRefusal(cause?: unknown): Failure {
  return refusal(
    'client',
    'The issuer may not speak for this client: see "client_id". It is the issuer, one that is listed here, or an https URL whose document has the "jwks_uri" of the issuer.',
    cause,
  );
}

/** The user was there a short while ago: a stolen session at the provider must not last for ever (auth.md v0.5, login_required and interaction_required). */
function checkLogin(claims: Claims, { maxAgeSeconds }: TrustedIssuer, now: number): void {
  const loggedIn = optionalTime(claims, 'auth_time');
  if (loggedIn === undefined || isAhead(loggedIn, now) || isPast(loggedIn + maxAgeSeconds, now)) {
    const message = 'The user must log in at the agent provider again: see "auth_time" in the assertion.';
    throw new Failure('loginRequired', message, { maxAgeSeconds });
  }
}

/** Accounts are known by mailbox: a verified telephone number says nothing of who owns one (S-95). */
function verifiedMailbox(claims: Claims, { emailDomains }: TrustedIssuer): string {
  const mailbox = typeof claims.email === 'string' ? parseMailbox(claims.email) : undefined;
  if (mailbox === undefined || claims.email_verified !== true) {
    throw refusal('contact', 'The assertion must carry "email", and "email_verified": true.');
  }
  if (emailDomains !== undefined && !emailDomains.includes(mailbox.slice(mailbox.lastIndexOf('@') + 1))) {
    throw refusal('contact', 'The issuer may not speak for mailboxes of this domain.');
  }
  return mailbox;
}

function scopesOf({ scope }: Claims): string[] | undefined {
  if (scope === undefined) return undefined;
  if (typeof scope === 'string' && scope.trim() !== '') return parseScope(scope);
  throw refusal('malformed', '"scope" must be words separated by spaces.');
}

function checkLoginMethods(claims: Claims, issuer: TrustedIssuer): void {
  const used: unknown[] = Array.isArray(claims.amr) ? claims.amr : [];
  if (!issuer.amr.every((method) => used.includes(method))) {
    throw refusal('login', 'The user did not log in as strongly as this service demands: see "amr".');
  }
}

/** Nothing rests on these: what is no short text is left out. */
function agentOf(claims: Claims): Pick<VerifiedAssertion, 'agentPlatform' | 'agentContextId'> {
  const short = (value: unknown) => (typeof value === 'string' && value.length <= 256 ? value : undefined);
  const [agentPlatform, agentContextId] = [short(claims.agent_platform), short(claims.agent_context_id)];
  return {
    ...(agentPlatform !== undefined && { agentPlatform }),
    ...(agentContextId !== undefined && { agentContextId }),
  };
}
