import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import type { VerifiedToken } from './token.ts';

/** For servers that are handed a Request and answer a Response: Hono and friends. */

/**
 * Who may pass, or the answer to give.
 *
 * ```ts
 * const auth = await protectRequest(request);
 * if (auth instanceof Response) return auth;
 * ```
 */
export function protect(options: GuardOptions): (request: Request) => Promise<VerifiedToken | Response> {
  const guard = createGuard(options);
  return async (request) => {
    // Headers joins what came twice with a comma, which no key holds: it is refused all the same.
    const decision = await guard((name) => request.headers.get(name) ?? undefined);
    if ('token' in decision) return decision.token;
    return Response.json(decision.body, { status: decision.status, headers: decision.headers });
  };
}

/** The RFC 9728 document, where this request asks for it; otherwise undefined. */
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
