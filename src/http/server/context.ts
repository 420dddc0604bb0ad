import type { Middleware as KoaMiddleware, ParameterizedContext } from 'koa';
import type { Dialect } from '../dialects/dialect.ts';
import type { RequestTarget } from './request-target.ts';
import type { HttpResponse } from './respond.ts';

/** What the checks of a request have found so far, in `ctx.state`. */
export interface RequestState {
  id: string;
  target: RequestTarget;
  /** "METHOD /path" of the row that was reached, for the log and the metrics; `none` before that. */
  route: string;
  /** How a refusal is written; undefined as long as no row has been reached. */
  dialect: Dialect | undefined;
  /** Whether any web page may read the answer. */
  isForWebPages: boolean;
  /** What request-log.ts writes at the end. */
  response: HttpResponse | undefined;
}

export type Context = ParameterizedContext<RequestState>;
export type Middleware = KoaMiddleware<RequestState>;
