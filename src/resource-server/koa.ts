import type { IncomingMessage } from 'node:http';
import type { PlaceOfCall } from './access.ts';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { headersOf } from './node-headers.ts';
import type { VerifiedToken } from './token.ts';

/** The adapter for Koa 2 and 3. */

interface Context {
  method: string;
  path: string;
  originalUrl: string;
  req: IncomingMessage;
  state: Record<string, unknown>;
  status: number;
  body: unknown;
  set(headers: Record<string, string>): void;
}
type Middleware = (ctx: Context, next: () => Promise<unknown>) => Promise<unknown>;

/**
 * Creates a middleware that passes on requests whose key is valid and has the scopes, with the VerifiedToken in `ctx.state.auth`.
 * It responds to all other requests itself.
 *
 * @param options.place what a request is about, so that keys that hold there alone are let in; see PlaceOfCall
 */
export function protect(
  options: GuardOptions & { place?: (ctx: Context) => PlaceOfCall | undefined },
): Middleware {
  const guard = createGuard(options);
  return async (ctx, next) => {
    const request = { method: ctx.method, url: ctx.originalUrl };
    const decision = await guard(headersOf(ctx.req), request, options.place?.(ctx));
    if ('token' in decision) {
      ctx.state.auth = decision.token satisfies VerifiedToken;
      return next();
    }
    ctx.status = decision.status;
    ctx.set(decision.headers);
    ctx.body = decision.body;
    return undefined;
  };
}

/** Creates a middleware that serves the metadata document (RFC 9728) at all its paths, readable from any web page. */
export function protectedResourceMetadata(options: ResourceOptions): Middleware {
  const { paths, document } = describe(options);
  return async (ctx, next) => {
    if (!paths.includes(ctx.path) || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    ctx.status = 200;
    ctx.set({ 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=300' });
    ctx.body = document;
    return undefined;
  };
}
