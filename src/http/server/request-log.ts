import type { Deps } from '../../deps.ts';
import { createRequestIds } from '../../lib/ids.ts';
import type { Middleware, RequestState } from './context.ts';
import { send } from './respond.ts';

/**
 * Names each request, writes its answer, and notes it in the log and the metrics: by its row, never by its URL, in which people put
 * secrets although nothing here asks for them.
 *
 * @param isDraining whether the service is about to end: then each answer says that its connection ends with it
 */
export function requestLog(deps: Deps, isDraining: () => boolean): Middleware {
  const nextRequestId = createRequestIds(deps.random);
  const secure = deps.config.publicUrl.startsWith('https:');
  return async (ctx, next) => {
    const startedAt = performance.now();
    ctx.respond = false; // Koa's own writing; ours is respond.ts
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
