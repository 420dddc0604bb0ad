import type { IncomingMessage, ServerResponse } from 'node:http';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { headersOf } from './node-headers.ts';
import type { VerifiedToken } from './token.ts';

/** For Express 4 and 5, and whatever else calls `(req, res, next)` with Node's own request and response. */

type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

/** Lets requests through that carry a key with the scopes; `req.auth` is then its VerifiedToken. */
export function protect(options: GuardOptions): Middleware {
  const guard = createGuard(options);
  return (req, res, next) => {
    guard(headersOf(req)).then((decision) => {
      if ('token' in decision) {
        (req as IncomingMessage & { auth?: VerifiedToken }).auth = decision.token;
        next();
        return;
      }
      send(res, decision.status, decision.headers, decision.body);
    }, next);
  };
}

/** Serves the RFC 9728 document wherever clients look for it, to any web page. */
export function protectedResourceMetadata(options: ResourceOptions): Middleware {
  const { paths, document } = describe(options);
  return (req, res, next) => {
    const path = req.url?.split('?')[0] ?? '';
    if (!paths.includes(path) || (req.method !== 'GET' && req.method !== 'HEAD')) return next();
    send(res, 200, { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=300' }, document);
  };
}

function send(res: ServerResponse, status: number, headers: Record<string, string>, body: object): void {
  res.writeHead(status, { ...headers, 'Content-Type': 'application/json; charset=utf-8' });
  res.end(JSON.stringify(body));
}
