import type { IncomingMessage } from 'node:http';
import type { PlaceOfCall } from './access.ts';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { headersOf } from './node-headers.ts';
import type { VerifiedToken } from './token.ts';

/** The adapter for Fastify 4 and 5. */

interface Request {
  raw: IncomingMessage;
  auth?: VerifiedToken;
}
interface Reply {
  code(status: number): Reply;
  headers(headers: Record<string, string>): Reply;
  send(body: unknown): Reply;
}
interface Instance {
  get(path: string, handler: (request: unknown, reply: Reply) => unknown): unknown;
}

/**
 * Creates a `preHandler` or `onRequest` hook. It passes on requests whose key is valid and has the scopes, with the VerifiedToken
 * in `request.auth`. It responds to all other requests itself.
 *
 * @param options.place what a request is about, so that keys that hold there alone are let in; see PlaceOfCall
 */
export function protect(
  options: GuardOptions & { place?: (request: Request) => PlaceOfCall | undefined },
): (request: Request, reply: Reply) => Promise<unknown> {
  const guard = createGuard(options);
  return async (request, reply) => {
    const target = { method: request.raw.method!, url: request.raw.url! };
    const decision = await guard(headersOf(request.raw), target, options.place?.(request));
    if (!('token' in decision))
      return reply.code(decision.status).headers(decision.headers).send(decision.body);
    request.auth = decision.token;
    return undefined;
  };
}

/** Creates a plugin that serves the metadata document (RFC 9728) at all its paths, readable from any web page. */
export function protectedResourceMetadata(options: ResourceOptions): (instance: Instance) => Promise<void> {
  const { paths, document } = describe(options);
  const headers = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=300' };
  return async (instance) => {
    for (const path of paths) instance.get(path, (_, reply) => reply.headers(headers).send(document));
  };
}
