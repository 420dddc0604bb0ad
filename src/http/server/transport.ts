import type { IncomingMessage } from 'node:http';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import type { Middleware } from './context.ts';
import { createHostCheck, readRequestTarget } from './request-target.ts';

const HEADERS_MAX = 64;

/** Reads the request target and the Host, before any row is looked at: too many headers are 400, another service's host is 421. */
export function checkTransport({ config }: Pick<Deps, 'config'>): Middleware {
  const isOurHost = createHostCheck(config.publicUrl);
  return (ctx, next) => {
    const { req, state } = ctx;
    const target = readRequestTarget(req.url ?? '/');
    state.target = target;
    req.url = target.path + target.query; // whoever reads it later finds the origin form
    // The path as it was written is what the router matches: Koa's own reading would cut it at a "#".
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
