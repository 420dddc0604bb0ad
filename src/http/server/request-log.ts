import type { Deps } from '../../deps.ts';
import { createRequestIds } from '../../lib/ids.ts';
import type { Middleware, RequestState } from './context.ts';
import { send } from './respond.ts';

/**
 * Creates the middleware that assigns the request id, sends the response, and records the request in the log and the
 * metrics. It records the row and never the URL, which may carry a secret that a client has put there (S-107).
 *
 * @param isDraining whether the service is shutting down; each response then carries `Connection: close`
 */
export function requestLog(deps: Deps, isDraining: () => boolean): Middleware {
  const nextRequestId = createRequestIds(deps.random);
  const secure = deps.config.publicUrl.startsWith('https:');
  return async (ctx, next) => {
    const startedAt = performance.now();
    ctx.respond = false; // respond.ts writes the response, not Koa
    const state: RequestState = ctx.state;
    state.id = nextRequestId(deps.clock());
    state.route = 'none';
    await next();
    const response = state.response!;
    if (isDraining()) ctx.res.shouldKeepAlive = false;
    send(ctx.req, ctx.res, response, state.id, secure);
    const seconds = (performance.now() - startedAt) / 1000;
    deps.metrics.countRequest(state.route, response.status, seconds);
    const ms = Math.round(seconds * 1e4) / 10;
    deps.log.info({ id: state.id, route: state.route, status: response.status, ms }, 'request');
  };
}
