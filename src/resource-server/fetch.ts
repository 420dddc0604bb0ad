import type { PlaceOfCall } from './access.ts';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import type { VerifiedToken } from './token.ts';

/** The adapter for servers that take a Request and return a Response, such as Hono. */

/**
 * Protects a route. If the key of a request is valid and has the scopes, the returned function resolves to its VerifiedToken.
 * Otherwise it resolves to the Response to send.
 *
 * ```ts
 * const protectRequest = protect({ verifier, scopes: ['read'] });
 * const auth = await protectRequest(request);
 * if (auth instanceof Response) return auth;
 * ```
 *
 * @param options.place what a request is about, so that keys that hold there alone are let in; see PlaceOfCall
 */
export function protect(
  options: GuardOptions & { place?: (request: Request) => PlaceOfCall | undefined },
): (request: Request) => Promise<VerifiedToken | Response> {
  const guard = createGuard(options);
  return async (request) => {
    // Headers joins repeated headers with a comma. No key contains one, so two keys are refused here, too.
    const header = (name: string) => request.headers.get(name) ?? undefined;
    const decision = await guard(header, request, options.place?.(request));
    if ('token' in decision) return decision.token;
    return Response.json(decision.body, { status: decision.status, headers: decision.headers });
  };
}

/**
 * Serves the metadata document of the resource (RFC 9728). The returned function returns it, readable from any web page, for a
 * request to one of its paths; undefined for other requests.
 */
export function protectedResourceMetadata(
  options: ResourceOptions,
): (request: Request) => Response | undefined {
  const { paths, document } = describe(options);
  const headers = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=300' };
  return (request) => {
    const isAsked = paths.includes(new URL(request.url).pathname) && /^(GET|HEAD)$/.test(request.method);
    return isAsked ? Response.json(document, { headers }) : undefined;
  };
}
