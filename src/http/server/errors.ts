import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { pageReaderOf } from './browser-session.ts';
import type { Context, Middleware } from './context.ts';
import { renderFailure, setCorsHeaders } from './respond.ts';

/**
 * Creates the middleware that renders every thrown error in the dialect of the request. The response holds only the
 * message of a Failure; any other error becomes `internal` (S-70). The cause is only logged.
 *
 * @param dialectAt chooses the dialect of a request that matched no row
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
      const reader = dialect.page && (await pageReaderOf(deps, ctx.req));
      state.response = renderFailure(dialect, failure, state.id, metadataUrl, publicUrl, reader);
      // A client that hangs up must not be able to fill the log with errors.
      const level = state.response.status >= 500 ? 'error' : 'debug';
      if (failure.cause !== undefined) deps.log[level]({ id: state.id, err: failure.cause }, failure.kind);
    }
    if (state.allowsCors) setCorsHeaders(state.response!);
  };
}

function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure('internal', 'Something went wrong here. Repeat the request later.', {}, error);
}

/**
 * Creates the listener that logs a response that could not be written: at `debug` when the client closed the
 * connection, else at `error`.
 *
 * @returns the listener for Koa's `error` event
 */
export function logConnectionErrors({ log }: Pick<Deps, 'log'>): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    const isClosedByClient = CLIENT_CLOSED_CODES.has(error.code ?? '');
    log[isClosedByClient ? 'debug' : 'error']({ err: error }, 'a response could not be written');
  };
}

const CLIENT_CLOSED_CODES = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);
