import { challenge, howToGetKey, type ResourceOptions } from './challenge.ts';
import { VerificationError } from './errors.ts';
import type { VerifiedToken } from './token.ts';
import type { Verifier } from './verifier.ts';

/** Protects a route, whatever the framework. The adapters only pass headers in and send the response. */

/** The options of createGuard(), and of `protect` in the adapters. */
export interface GuardOptions extends Partial<Omit<ResourceOptions, 'resource' | 'issuer'>> {
  /** Verifies the keys. */
  verifier: Verifier;
  /** The scopes that the route requires, all of them. By default none: every valid key is accepted. */
  scopes?: readonly string[];
  /**
   * The scopes that a client without a token is told to ask for, in one consent; default: `scopes`. Name all that an app
   * usually needs: not every MCP client asks again when one is missing.
   */
  challengeScopes?: readonly string[];
  /** Which scopes include others: `{ admin: ['write'], write: ['read'] }`. */
  implies?: Readonly<Record<string, readonly string[]>>;
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
 */
export type Guard = (header: (name: string) => string | readonly string[] | undefined) => Promise<Decision>;

/** Creates a guard for one route. The guard turns each VerificationError into a Decision, and throws other errors. */
export function createGuard(options: GuardOptions): Guard {
  const { verifier, scopes = [], implies = {}, apiKeyHeader = false, consumesQuota } = options;
  const resourceOptions: ResourceOptions = {
    ...options,
    scopes: options.challengeScopes ?? scopes,
    resource: verifier.resource,
    issuer: verifier.issuer,
  };
  const invalid = (description: string) =>
    refuse(
      401,
      'invalid_token',
      description,
      challenge(resourceOptions, { error: 'invalid_token', description }),
    );

  return async (header) => {
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
      const token = await verifier.verify(credential.token);
      if (scopes.every((scope) => covers(token.scopes, scope, implies))) {
        return consumesQuota === undefined ? { token } : await consume(verifier, token, consumesQuota);
      }
      const description = `This needs the scopes: ${scopes.join(' ')}.`;
      const challengeHeader = challenge(resourceOptions, {
        error: 'insufficient_scope',
        scopes,
        description,
      });
      return refuse(403, 'insufficient_scope', description, challengeHeader);
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
      if (error.code === 'invalid_token') return invalid(error.message);
      const retry = { 'Retry-After': String(error.retryAfter ?? 1) };
      return { ...refuse(503, 'temporarily_unavailable', error.message), headers: retry };
    }
  };
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

/**
 * Reports whether scopes include one scope, directly or by what they imply.
 *
 * @param held the scopes of a credential
 * @param implies which scopes include others: `{ admin: ['write'], write: ['read'] }`
 */
export function covers(
  held: readonly string[],
  scope: string,
  implies: Readonly<Record<string, readonly string[]>> = {},
): boolean {
  if (held.includes(scope)) return true; // the most frequent case
  const seen = new Set<string>();
  const unvisited = [...held];
  for (let next = unvisited.pop(); next !== undefined; next = unvisited.pop()) {
    if (next === scope) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    unvisited.push(...(implies[next] ?? []));
  }
  return false;
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

type PresentedCredential = { kind: 'none' } | { kind: 'malformed' } | { kind: 'token'; token: string };

/** Reads the key from the headers of a request, never from its URL, which ends up in logs (RFC 6750 section 5.3). */
function readToken(header: Parameters<Guard>[0], apiKeyHeader: boolean): PresentedCredential {
  const authorization = header('authorization');
  const apiKey = apiKeyHeader ? header('x-api-key') : undefined;
  if (typeof authorization === 'string' && apiKey === undefined) return readBearer(authorization);
  const values = [authorization ?? [], apiKey ?? []].flat();
  if (values.length === 0) return { kind: 'none' };
  if (values.length > 1) return { kind: 'malformed' };
  const value = values[0]!;
  if (authorization === undefined || authorization.length === 0) return { kind: 'token', token: value };
  return readBearer(value);
}

function readBearer(value: string): PresentedCredential {
  const token = /^Bearer +(\S+) *$/i.exec(value)?.[1];
  return token === undefined ? { kind: 'none' } : { kind: 'token', token };
}
