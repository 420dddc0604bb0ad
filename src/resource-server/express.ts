import type { IncomingMessage, ServerResponse } from 'node:http';
import type { PlaceOfCall } from './access.ts';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { headersOf } from './node-headers.ts';
import type { VerifiedToken } from './token.ts';

/** The adapter for Express 4 and 5, and for others that call `(req, res, next)` with Node's own request and response. */

type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Creates a middleware that passes on requests whose key is valid and has the scopes, with the VerifiedToken in `req.auth`. It
 * responds to all other requests itself.
 *
 * @param options.place what a request is about, so that keys that hold there alone are let in; see PlaceOfCall
 */
export function protect(
  options: GuardOptions & { place?: (req: IncomingMessage) => PlaceOfCall | undefined },
): Middleware {
  const guard = createGuard(options);
  return (req, res, next) => {
    guard(headersOf(req), requestOf(req), options.place?.(req)).then((decision) => {
      if ('token' in decision) {
        (req as IncomingMessage & { auth?: VerifiedToken }).auth = decision.token;
        next();
        return;
      }
      send(res, decision.status, decision.headers, decision.body);
    }, next);
  };
}

/** Express removes the path of a router from `url`. */
function requestOf(req: IncomingMessage & { originalUrl?: string }) {
  return { method: req.method!, url: req.originalUrl ?? req.url! };
}

/** Creates a middleware that serves the metadata document (RFC 9728) at all its paths, readable from any web page. */
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
