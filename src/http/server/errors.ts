import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { whoIsSignedIn } from './browser-session.ts';
import type { Context, Middleware } from './context.ts';
import { allowWebPages, renderFailure } from './respond.ts';

/**
 * Renders whatever is thrown on the way of a request in the dialect of its path, and tells the caller nothing else.
 *
 * @param dialectAt the dialect of a request that reached no row
 */
export function renderErrors(deps: Deps, dialectAt: (ctx: Context) => Dialect): Middleware {
  const { publicUrl } = deps.config;
  const metadataUrl = `${publicUrl}/.well-known/oauth-protected-resource`;
  return async (ctx, next) => {
    const { state } = ctx;
    try {
      await next();
    } catch (error) {
      const failure = toFailure(error);
      const dialect = state.dialect ?? dialectAt(ctx);
      const session = dialect.page && (await whoIsSignedIn(deps, ctx.req.headers.cookie));
      state.response = renderFailure(dialect, failure, state.id, metadataUrl, publicUrl, session);
      // A client that hangs up is no error of ours, and must not be able to fill the log with them.
      const level = state.response.status >= 500 ? 'error' : 'debug';
      if (failure.cause !== undefined) deps.log[level]({ id: state.id, err: failure.cause }, failure.kind);
    }
    if (state.isForWebPages) allowWebPages(state.response!);
  };
}

function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure('internal', 'Something went wrong here. Repeat the request later.', {}, error);
}

/**
 * Notes what Koa reports of a response that could not be written. A client that hung up is no error of ours.
 *
 * @returns the listener for the application's `error` event
 */
export function logConnectionErrors({ log }: Pick<Deps, 'log'>): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    const isClients = CONNECTION_ENDED.has(error.code ?? '');
    log[isClients ? 'debug' : 'error']({ err: error }, 'a response could not be written');
  };
}

const CONNECTION_ENDED = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);
