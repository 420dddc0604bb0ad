import type { IncomingMessage } from 'node:http';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { headersOf } from './node-headers.ts';
import type { VerifiedToken } from './token.ts';

/** For Koa 2 and 3. */

interface Context {
  method: string;
  path: string;
  req: IncomingMessage;
  state: Record<string, unknown>;
  status: number;
  body: unknown;
  set(headers: Record<string, string>): void;
}
type Middleware = (ctx: Context, next: () => Promise<unknown>) => Promise<unknown>;

/** Lets requests through that carry a key with the scopes; `ctx.state.auth` is then its VerifiedToken. */
export function protect(options: GuardOptions): Middleware {
  const guard = createGuard(options);
  return async (ctx, next) => {
    const decision = await guard(headersOf(ctx.req));
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

/** Serves the RFC 9728 document wherever clients look for it, to any web page. */
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
