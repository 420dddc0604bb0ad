import type { IncomingMessage } from 'node:http';
import { protectedResourceMetadata as describe, type ResourceOptions } from './challenge.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { headersOf } from './node-headers.ts';
import type { VerifiedToken } from './token.ts';

/** For Fastify 4 and 5. */

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

/** A `preHandler` or `onRequest` hook: lets pass who carries a key with the scopes; `request.auth` is then its VerifiedToken. */
export function protect(options: GuardOptions): (request: Request, reply: Reply) => Promise<unknown> {
  const guard = createGuard(options);
  return async (request, reply) => {
    const decision = await guard(headersOf(request.raw));
    if (!('token' in decision))
      return reply.code(decision.status).headers(decision.headers).send(decision.body);
    request.auth = decision.token;
    return undefined;
  };
}

/** A plugin that serves the RFC 9728 document wherever clients look for it, to any web page. */
export function protectedResourceMetadata(options: ResourceOptions): (instance: Instance) => Promise<void> {
  const { paths, document } = describe(options);
  const headers = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=300' };
  return async (instance) => {
    for (const path of paths) instance.get(path, (_, reply) => reply.headers(headers).send(document));
  };
}
