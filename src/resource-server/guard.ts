import { may, type PlaceOfCall } from './access.ts';
import { challenge, howToGetKey, type ResourceOptions } from './challenge.ts';
import { covers, type Implies } from './covers.ts';
import { invalidToken, VerificationError } from './errors.ts';
import type { VerifiedToken } from './token.ts';
import type { Verifier } from './verifier.ts';

/** Protects a route, whatever the framework. The adapters only pass headers in and send the response. */

/** The options of createGuard(), and of `protect` in the adapters. */
export interface GuardOptions extends Partial<Omit<ResourceOptions, 'resource' | 'issuer'>> {
  /** Verifies the keys. */
  verifier: Verifier;
  /**
   * The scopes that the route requires, all of them. By default none: every valid key is accepted. A key that holds in places needs
   * them in the workspace of its own account, or where the request is about: see the third parameter of a Guard.
   */
  scopes?: readonly string[];
  /**
   * The scopes that a client without a token is told to ask for, in one consent; default: `scopes`. Name all that an app
   * usually needs: not every MCP client asks again when one is missing.
   */
  challengeScopes?: readonly string[];
  /** Which scopes include others: `{ admin: ['write'], write: ['read'] }`. */
  implies?: Implies;
  /** The quota of which each request consumes one use; refuses the request if none is left. See Verifier.consumeQuota(). */
  consumesQuota?: string;
  /** Whether to accept the key in the header `x-api-key`, too, for clients that cannot send Authorization; default false. */
  apiKeyHeader?: boolean;
}

/** The verified token of an accepted request, or the response to a refused one. */
export type Decision =
  | { token: VerifiedToken }
  | {
      status: 400 | 401 | 402 | 403 | 429 | 503;
      headers: Record<string, string>;
      body: { error: string; error_description: string; verification_uri?: string };
    };

/**
 * Decides on a request.
 *
 * @param header returns all values of a request header, by its name in lower case; more than one key is refused
 * @param request the method, and the URL or target as it came; without it, a token that is bound to a key (DPoP) is refused
 * @param place what the request is about, in a workspace; `anywhere`: the scopes may be those of any place, because something
 * else decides about the place; undefined: the workspace of the key’s own account
 */
export type Guard = (
  header: (name: string) => string | readonly string[] | undefined,
  request?: { method: string; url: string },
  place?: PlaceOfCall | 'anywhere',
) => Promise<Decision>;

/** Creates a guard for one route. The guard turns each VerificationError into a Decision, and throws other errors. */
export function createGuard(options: GuardOptions): Guard {
  const { verifier, scopes = [], implies = {}, apiKeyHeader = false, consumesQuota } = options;
  const resourceOptions: ResourceOptions = {
    ...options,
    scopes: options.challengeScopes ?? scopes,
    resource: verifier.resource,
    issuer: verifier.issuer,
  };
  const refuseCredential = (error: VerificationError & { code: Unproven }, scheme: 'Bearer' | 'DPoP') => {
    const description = error.message;
    const challengeHeader = challenge(resourceOptions, { error: error.code, description, scheme });
    const refused = refuse(401, error.code, description, challengeHeader);
    if (error.nonce !== undefined) refused.headers['DPoP-Nonce'] = error.nonce;
    return refused;
  };

  return async (header, request, place) => {
    const credential = readToken(header, apiKeyHeader);
    if (credential.kind === 'none') {
      return refuse(
        401,
        'unauthorized',
        `A key is required: "Authorization: Bearer sk_...". ${howToGetKey(resourceOptions.issuer)}.`,
        challenge(resourceOptions),
      );
    }
    if (credential.kind === 'malformed') {
      const description = 'Send one key, in one header.';
      return refuse(
        400,
        'invalid_request',
        description,
        challenge(resourceOptions, { error: 'invalid_request', description }),
      );
    }
    try {
      const { scheme } = credential;
      const proof = singleValue(header('dpop'));
      const presented = scheme === 'DPoP' && request !== undefined ? { proof, ...request } : undefined;
      // Without the request no proof can be checked: what was presented as bound is then not valid.
      if (scheme === 'DPoP' && presented === undefined) throw invalidToken();
      const token = await verifier.verify(credential.token, presented);
      if (scopes.every((scope) => isMet(token, scope, place, implies))) {
        return consumesQuota === undefined ? { token } : await consume(verifier, token, consumesQuota);
      }
      const description = `This needs the scopes: ${scopes.join(' ')}.`;
      const challengeHeader = challenge(resourceOptions, {
        error: 'insufficient_scope',
        scopes,
        description,
        scheme: credential.scheme,
      });
      return refuse(403, 'insufficient_scope', description, challengeHeader);
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
      if (isUnproven(error)) return refuseCredential(error, credential.scheme);
      const retry = { 'Retry-After': String(error.retryAfter ?? 1) };
      return { ...refuse(503, 'temporarily_unavailable', error.message), headers: retry };
    }
  };
}

/** Reports whether a credential has a scope where a request is about. */
function isMet(
  token: VerifiedToken,
  scope: string,
  place: PlaceOfCall | 'anywhere' | undefined,
  implies: Implies,
): boolean {
  if (place === undefined && token.access !== undefined)
    return may(token, scope, { workspace: token.subject }, implies);
  if (place === undefined || place === 'anywhere') return covers(token.scopes, scope, implies);
  return may(token, scope, place, implies);
}

async function consume(verifier: Verifier, token: VerifiedToken, action: string): Promise<Decision> {
  const result = await verifier.consumeQuota(token, action);
  if (result.allowed) return { token };
  const { status, error, message, retryAfter, verificationUri } = result;
  return {
    status,
    headers: { 'Retry-After': String(retryAfter) },
    body: {
      error,
      error_description: message,
      ...(verificationUri !== undefined && { verification_uri: verificationUri }),
    },
  };
}

function refuse<Status extends 400 | 401 | 403 | 503>(
  status: Status,
  error: string,
  description: string,
  challengeHeader?: string,
) {
  const headers: Record<string, string> =
    challengeHeader === undefined ? {} : { 'WWW-Authenticate': challengeHeader };
  return { status, headers, body: { error, error_description: description } };
}

type Unproven = Exclude<VerificationError['code'], 'unavailable'>;

function isUnproven(error: VerificationError): error is VerificationError & { code: Unproven } {
  return error.code !== 'unavailable';
}

type PresentedCredential =
  | { kind: 'none' }
  | { kind: 'malformed' }
  | { kind: 'token'; token: string; scheme: 'Bearer' | 'DPoP' };

/** Reads the key from the headers of a request, never from its URL, which ends up in logs (RFC 6750 section 5.3). */
function readToken(header: Parameters<Guard>[0], apiKeyHeader: boolean): PresentedCredential {
  const authorization = header('authorization');
  const apiKey = apiKeyHeader ? header('x-api-key') : undefined;
  if (typeof authorization === 'string' && apiKey === undefined) return readAuthorization(authorization);
  const values = [authorization ?? [], apiKey ?? []].flat();
  if (values.length === 0) return { kind: 'none' };
  if (values.length > 1) return { kind: 'malformed' };
  const value = values[0]!;
  if (authorization === undefined || authorization.length === 0)
    return { kind: 'token', token: value, scheme: 'Bearer' };
  return readAuthorization(value);
}

function readAuthorization(value: string): PresentedCredential {
  const [, scheme, token] = /^(Bearer|DPoP) +(\S+) *$/i.exec(value) ?? [];
  if (scheme === undefined || token === undefined) return { kind: 'none' };
  return { kind: 'token', token, scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer' };
}

function singleValue(value: string | readonly string[] | undefined): string | undefined {
  const all = [value ?? []].flat();
  return all.length === 1 ? all[0] : undefined;
}
