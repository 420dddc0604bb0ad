import { Failure } from '../../errors.ts';
import {
  CLIENT_ID_LENGTH_MAX,
  type Claims,
  checkLifetime,
  checkLoginAge,
  checkLoginMethods,
  ID_JAG_TYPE,
  mailboxOf,
  scopesOf,
  type VerifiedAssertion,
  type VerifierDeps,
} from './id-jag.ts';
import {
  invalidProviderToken,
  optionalTime,
  requiredText,
  requiredTime,
  tenantOf,
  verifyProviderToken,
} from './provider-token.ts';

/**
 * The verified claims of an ID-JAG with which an OAuth client gets a token for a user of the issuer
 * (draft-ietf-oauth-identity-assertion-authz-grant section 4.4).
 */
export interface ClientAssertion
  extends Pick<
    VerifiedAssertion,
    'issuer' | 'subject' | 'tenant' | 'jti' | 'scopes' | 'issuedAt' | 'expiresAt'
  > {
  /** Canonical, and verified by the issuer; undefined: it names none. */
  mailbox: string | undefined;
  /** The URLs of the APIs to which the issuer limits the client; undefined: no such limit. */
  resources: string[] | undefined;
  /** The thumbprint of the key that the client has to prove (RFC 9449 section 6.1); undefined: none. */
  keyThumbprint: string | undefined;
  /** When the user signed in at the issuer, epoch ms; undefined: it does not say. */
  signedInAt: number | undefined;
}

const RESOURCES_MAX = 20;

/**
 * Verifies an ID-JAG that an authenticated OAuth client presents. Unlike an agent, such a client is known here and no
 * document is fetched for it, `email` may be missing for a user who is known, and `auth_time` is checked where it is said.
 *
 * @param assertion a JWT in compact form
 * @param clientId of the client that authenticated
 * @throws Failure `invalidAssertion` with the fault; `loginRequired` if the user must log in at the provider again
 */
export async function verifyClientIdJag(
  deps: VerifierDeps,
  assertion: string,
  clientId: string,
): Promise<ClientAssertion> {
  const { issuer, claims } = await verifyProviderToken(deps, assertion, (typ) => ID_JAG_TYPE.test(typ));
  const now = deps.clock();
  checkIssuerAudience(deps, claims);
  const expiresAt = checkLifetime(claims, now);
  if (requiredText(claims, 'client_id', CLIENT_ID_LENGTH_MAX) !== clientId) {
    throw invalidProviderToken('client', 'The assertion was issued to another client: see "client_id".');
  }
  const authTime = optionalTime(claims, 'auth_time');
  if (authTime !== undefined) checkLoginAge(authTime, issuer, now);
  checkLoginMethods(claims, issuer);
  return {
    issuer,
    subject: requiredText(claims, 'sub'),
    tenant: tenantOf(claims),
    jti: requiredText(claims, 'jti'),
    mailbox: claims.email === undefined ? undefined : mailboxOf(claims, issuer),
    scopes: scopesOf(claims),
    resources: resourcesOf(claims),
    keyThumbprint: thumbprintOf(claims),
    issuedAt: requiredTime(claims, 'iat') * 1000,
    expiresAt,
    signedInAt: authTime === undefined ? undefined : authTime * 1000,
  };
}

/** Only our issuer is the audience here: agents alone may present what names an API (S-92). */
function checkIssuerAudience({ config }: VerifierDeps, { aud }: Claims): void {
  const [audience] = Array.isArray(aud) ? aud : [aud];
  if (audience !== config.publicUrl) {
    throw invalidProviderToken('audience', '"aud" must be the issuer of this service, and nothing else.');
  }
}

/** The claim is one URL, or a list (RFC 8707 section 2). */
function resourcesOf({ resource }: Claims): string[] | undefined {
  if (resource === undefined) return undefined;
  const all: unknown[] = Array.isArray(resource) ? resource : [resource];
  if (all.length > 0 && all.length <= RESOURCES_MAX && all.every((each) => typeof each === 'string')) {
    return all;
  }
  throw invalidProviderToken('malformed', `"resource" must be 1 to ${RESOURCES_MAX} URLs.`);
}

/** A confirmation by anything but the thumbprint of a key cannot be checked here (RFC 7800 section 3.1). */
function thumbprintOf({ cnf }: Claims): string | undefined {
  if (cnf === undefined) return undefined;
  const jkt = typeof cnf === 'object' && cnf !== null ? (cnf as Claims).jkt : undefined;
  if (typeof jkt === 'string' && /^[\w-]{43}$/.test(jkt) && Object.keys(cnf as Claims).length === 1)
    return jkt;
  throw invalidProviderToken('malformed', '"cnf" must be the thumbprint of a key: {"jkt": "…"}.');
}

/**
 * Checks that a client holds the key to which an assertion is bound.
 *
 * @param proven the thumbprint of the key that it proved (RFC 9449); undefined: none
 * @throws Failure `invalidGrant`
 */
export function checkBoundKey({ keyThumbprint }: ClientAssertion, proven: string | undefined): void {
  if (keyThumbprint === undefined || keyThumbprint === proven) return;
  throw new Failure(
    'invalidGrant',
    'The assertion is bound to a key: send a DPoP proof of it, see "cnf" in the assertion.',
  );
}
