import type { Middleware as KoaMiddleware, ParameterizedContext } from 'koa';
import type { Dialect } from '../dialects/dialect.ts';
import type { RequestTarget } from './request-target.ts';
import type { HttpResponse } from './respond.ts';

/** The state of one request in `ctx.state`, filled by each middleware. */
export interface RequestState {
  /** The request id, `req_…`, as in X-Request-Id. */
  id: string;
  target: RequestTarget;
  /** "METHOD /path" of the matched row, for log and metrics; `none` before a row matches. */
  route: string;
  /** The dialect that renders a failure; undefined before a row matches. */
  dialect: Dialect | undefined;
  /** Whether any web page may read the response (Fetch, CORS protocol). */
  allowsCors: boolean;
  /** The response that request-log.ts writes at the end. */
  response: HttpResponse | undefined;
}

export type Context = ParameterizedContext<RequestState>;
export type Middleware = KoaMiddleware<RequestState>;
