import { challenge, howToGetKey, type ResourceOptions } from './challenge.ts';
import { VerificationError } from './errors.ts';
import type { VerifiedToken } from './token.ts';
import type { Verifier } from './verifier.ts';

/** What stands before a route, whatever the framework: the adapters only carry headers in and answers out. */

export interface GuardOptions extends Partial<Omit<ResourceOptions, 'resource' | 'issuer'>> {
  verifier: Verifier;
  /** What a key must be allowed to for the route; scopes that imply others are spelled out by `implies`. */
  scopes?: readonly string[];
  /** Which scopes contain others: `{ admin: ['write'], write: ['read'] }`. */
  implies?: Readonly<Record<string, readonly string[]>>;
  /** Count this action of the account, where the authority has a quota for it: see Verifier.consumeQuota. */
  consumesQuota?: string;
  /** Accept the key in `x-api-key`, too, for clients that can send nothing else; default false. */
  apiKeyHeader?: boolean;
}

/** Lets in, or says what to answer. */
export type Decision =
  | { token: VerifiedToken }
  | {
      status: 400 | 401 | 402 | 403 | 429 | 503;
      headers: Record<string, string>;
      body: { error: string; error_description: string; verification_uri?: string };
    };

/** @param header all values of a request header by its name in lower case; more than one Authorization is refused */
export type Guard = (header: (name: string) => string | readonly string[] | undefined) => Promise<Decision>;

export function createGuard(options: GuardOptions): Guard {
  const { verifier, scopes = [], implies = {}, apiKeyHeader = false, consumesQuota } = options;
  const about: ResourceOptions = { ...options, resource: verifier.resource, issuer: verifier.issuer };
  const invalid = (description: string) =>
    refuse(401, 'invalid_token', description, challenge(about, { error: 'invalid_token', description }));

  return async (header) => {
    const given = readToken(header, apiKeyHeader);
    if (given.kind === 'none') {
      return refuse(
        401,
        'unauthorized',
        `A key is required: "Authorization: Bearer sk_...". ${howToGetKey(about.issuer)}.`,
        challenge(about),
      );
    }
    if (given.kind === 'malformed') {
      const description = 'Send one key, in one header.';
      return refuse(
        400,
        'invalid_request',
        description,
        challenge(about, { error: 'invalid_request', description }),
      );
    }
    try {
      const token = await verifier.verify(given.token);
      if (scopes.every((scope) => covers(token.scopes, scope, implies))) {
        return consumesQuota === undefined ? { token } : await count(verifier, token, consumesQuota);
      }
      const description = `This needs the scopes: ${scopes.join(' ')}.`;
      const said = challenge(about, { error: 'insufficient_scope', scopes, description });
      return refuse(403, 'insufficient_scope', description, said);
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
      if (error.code === 'invalid_token') return invalid(error.message);
      const retry = { 'Retry-After': String(error.retryAfter ?? 1) };
      return { ...refuse(503, 'temporarily_unavailable', error.message), headers: retry };
    }
  };
}

async function count(verifier: Verifier, token: VerifiedToken, action: string): Promise<Decision> {
  const spent = await verifier.consumeQuota(token, action);
  if (spent.allowed) return { token };
  const { status, error, message, retryAfter, verificationUri } = spent;
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

/** Whether scopes contain one, by themselves or by what they imply. */
export function covers(
  held: readonly string[],
  scope: string,
  implies: Readonly<Record<string, readonly string[]>> = {},
): boolean {
  if (held.includes(scope)) return true; // by far the most frequent
  const seen = new Set<string>();
  const open = [...held];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === scope) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...(implies[next] ?? []));
  }
  return false;
}

function refuse<Status extends 400 | 401 | 403 | 503>(
  status: Status,
  error: string,
  description: string,
  challenged?: string,
) {
  const headers: Record<string, string> = challenged === undefined ? {} : { 'WWW-Authenticate': challenged };
  return { status, headers, body: { error, error_description: description } };
}

type Given = { kind: 'none' } | { kind: 'malformed' } | { kind: 'token'; token: string };

/** The key of a request, from its headers alone: what stands in a URL ends up in logs (RFC 6750 5.3). */
function readToken(header: Parameters<Guard>[0], apiKeyHeader: boolean): Given {
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

function readBearer(value: string): Given {
  const token = /^Bearer +(\S+) *$/i.exec(value)?.[1];
  return token === undefined ? { kind: 'none' } : { kind: 'token', token };
}
