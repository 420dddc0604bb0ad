import type { IncomingMessage } from 'node:http';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { Middleware } from './context.ts';
import { createHostCheck, readRequestTarget } from './request-target.ts';

const HEADERS_MAX = 64;

/**
 * Creates the middleware that reads the request target and checks the headers, before a row is matched (S-64).
 *
 * @returns a middleware that throws Failure `badRequest` for more than 64 headers or more than one Host, and
 * `misdirected` for the host of another service
 */
export function checkTransport({ config }: Pick<Deps, 'config'>): Middleware {
  const isOurHost = createHostCheck(config.publicUrl);
  return (ctx, next) => {
    const { req, state } = ctx;
    const target = readRequestTarget(req.url ?? '/');
    state.target = target;
    req.url = target.path + target.query; // later code reads the origin form
    // The router matches the path as written; Koa's own parser would cut it at a "#".
    ctx.newRouterPath = target.path;
    checkHeaders(req);
    if (!isOurHost(target.origin, req.headers.host ?? '')) {
      throw new Failure('misdirected', 'This service does not answer for that host.');
    }
    return next();
  };
}

function checkHeaders({ rawHeaders }: IncomingMessage): void {
  if (rawHeaders.length > 2 * HEADERS_MAX) {
    throw new Failure('badRequest', `There are more than ${HEADERS_MAX} headers.`);
  }
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1) throw new Failure('badRequest', 'There is more than one Host header.');
}
