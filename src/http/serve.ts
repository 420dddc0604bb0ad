import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Deps } from '../deps.ts';
import { refuseIfSpent } from '../domain/limits.ts';
import { Failure } from '../errors.ts';
import { createRequestIds } from '../lib/ids.ts';
import { checkShape, readBody } from './body.ts';
import { identify } from './callers.ts';
import { clientAddress } from './client-address.ts';
import { agentProtocol } from './dialects/agent-protocol.ts';
import { authMd } from './dialects/auth-md.ts';
import type { Dialect } from './dialects/dialect.ts';
import { native } from './dialects/native.ts';
import { oauth } from './dialects/oauth.ts';
import { PATHS } from './discovery.ts';
import { allowWebPages, preflight, type Reply, renderAnswer, renderFailure, send } from './reply.ts';
import { createHostCheck, type RequestTarget, readRequestTarget } from './request-target.ts';
import { createMatcher, nothingAtPath, type Route } from './route.ts';
import { refuseUnknownMembers } from './unknown-members.ts';
import { whoIsSignedIn } from './visitor.ts';

const HEADERS_MAX = 64;
/**
 * So many requests in work at most: past that an answer would come too late to be of use. Those of newcomers, which a
 * limit counts, are turned away first, so that what is already at work goes on. One that still sends its body is not in work.
 */
const IN_WORK_MAX = 2000;
const NEWCOMERS_IN_WORK_MAX = 500;
const NO_BODY = { parsed: undefined, bytes: Buffer.alloc(0) };

/**
 * Takes every request from its arrival to its answer, in the order of checks of security.md 4: transport, host, route, method,
 * flood limit, media type, body, caller; then the row's handler. Whatever is thrown on the way is rendered in the dialect of
 * the path, and nothing else is ever told to the caller.
 */
export function createServe(
  deps: Deps,
  routes: readonly Route[],
  pages: Dialect,
  isDraining: () => boolean,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const match = createMatcher(routes);
  const nextRequestId = createRequestIds(deps.random);
  const isOurHost = createHostCheck(deps.config.publicUrl);
  const metadataUrl = `${deps.config.publicUrl}/.well-known/oauth-protected-resource`;
  const secure = deps.config.publicUrl.startsWith('https:');

  let inWork = 0;

  return async function serve(req, res) {
    const startedAt = performance.now();
    const requestId = nextRequestId(deps.clock());

    const target = readRequestTarget(req.url ?? '/');
    const { path } = target;
    req.url = path + target.query; // whoever reads it later finds the origin form
    const found = match(req.method ?? '', path);
    const unknown = wantsPage(req) ? pages : dialectOf(path);
    // Also what is refused before its row is looked at is said as that row says it: to a form, on a page.
    let dialect = found.kind === 'none' ? unknown : found.route.dialect;
    let label = 'none';
    let forWebPages = false;
    let reply: Reply;
    try {
      checkTransport(req, target, isOurHost);
      if (found.kind === 'none' || (found.route.exists && !(await found.route.exists(found.params)))) {
        dialect = unknown;
        throw nothingAtPath(deps.config.publicUrl);
      }
      forWebPages = found.route.open || found.route.cors;
      if (found.kind === 'wrongMethod') {
        dialect = found.route.dialect;
        if (req.method === 'OPTIONS' && forWebPages)
          return send(req, res, preflight(found.allow), requestId, secure);
        throw new Failure('wrongMethod', `Use ${found.allow} here.`, { allow: found.allow });
      }
      const { route, params } = found;
      dialect = route.dialect;
      label = `${route.method} ${route.path}`;
      const query = new URLSearchParams(target.query);
      refuseTokenInQuery(query);

      const address = clientAddress(req, deps.config.trustProxy);
      const asker = { address, requestId };
      const mayRepeat = route.repeatable && req.headers['idempotency-key'] !== undefined;
      if (route.limit !== undefined && !mayRepeat) await refuseIfSpent(deps, route.limit, address);
      const { parsed, bytes } = route.body ? await readBody(req, route.body.media) : NO_BODY;
      const spoken = parsed && route.versions.find((each) => each.speaks(parsed));
      if (spoken !== undefined) dialect = spoken.dialect;
      const schema = spoken?.schema ?? route.body?.schema;
      const body = schema && checkShape(parsed, schema);
      // Other protocols demand that what is not known is ignored (RFC 6749 section 3.1, auth.md).
      if (schema && (dialect === native || dialect === pages)) refuseUnknownMembers(parsed, schema);
      if (inWork >= (route.limit === undefined ? IN_WORK_MAX : NEWCOMERS_IN_WORK_MAX)) throw overloaded();
      inWork += 1;
      try {
        const caller = await identify(route.caller, deps, asker, req, body);
        const header = (name: string) => req.headers[name] as string | undefined;
        const { handler } = spoken ?? route;
        const answer = await handler({ deps, asker, body, bytes, caller, params, query, header });
        reply = renderAnswer(route, dialect, answer);
      } finally {
        inWork -= 1;
      }
    } catch (error) {
      const failure = toFailure(error);
      const session = dialect.page && (await whoIsSignedIn(deps, req.headers.cookie));
      reply = renderFailure(dialect, failure, requestId, metadataUrl, deps.config.publicUrl, session);
      // A client that hangs up is no error of ours, and must not be able to fill the log with them.
      const level = reply.status >= 500 ? 'error' : 'debug';
      if (failure.cause !== undefined) deps.log[level]({ id: requestId, err: failure.cause }, failure.kind);
    }
    if (forWebPages) allowWebPages(reply);
    if (isDraining()) res.shouldKeepAlive = false; // says "Connection: close"
    send(req, res, reply, requestId, secure);
    const seconds = (performance.now() - startedAt) / 1000;
    deps.metrics.countRequest(label, reply.status, seconds);
    // The row, never the URL: an address bar is no place for secrets, but people put them there.
    const ms = Math.round(seconds * 1e4) / 10;
    deps.log.info({ id: requestId, route: label, status: reply.status, ms }, 'request');
  };
}

function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure('internal', 'Something went wrong here. Repeat the request later.', {}, error);
}

/** A browser that went astray is told so on a page. */
function wantsPage(request: IncomingMessage): boolean {
  return request.method === 'GET' && /\btext\/html\b/.test(request.headers.accept ?? '');
}

/** Paths that no row knows still speak the dialect of their neighbours. */
function dialectOf(path: string): Dialect {
  if (path.startsWith('/oauth2/')) return oauth;
  if (path.startsWith('/capability/') || path.startsWith('/host/')) return agentProtocol;
  return path === PATHS.identity || path.startsWith(`${PATHS.identity}/`) ? authMd : native;
}

function checkTransport(
  request: IncomingMessage,
  { origin }: RequestTarget,
  isOurHost: ReturnType<typeof createHostCheck>,
): void {
  const { rawHeaders } = request;
  if (rawHeaders.length > 2 * HEADERS_MAX) {
    throw new Failure('badRequest', `There are more than ${HEADERS_MAX} headers.`);
  }
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1) throw new Failure('badRequest', 'There is more than one Host header.');
  if (!isOurHost(origin, request.headers.host ?? '')) {
    throw new Failure('misdirected', 'This service does not answer for that host.');
  }
}

const SECRET_PARAMETERS = [
  'access_token',
  'refresh_token',
  'token',
  'assertion',
  'credential',
  'claim_token',
  'client_secret',
  'otp',
  'user_code',
];

function refuseTokenInQuery(query: URLSearchParams): void {
  if (query.size > 0 && SECRET_PARAMETERS.some((name) => query.has(name))) {
    throw new Failure(
      'badRequest',
      'A secret in the URL is not accepted. Send it in the header or the body.',
    );
  }
}

function overloaded(): Failure {
  return new Failure(
    'unavailable',
    'There is more to do here than can be done in time. Nothing was changed; repeat the request later.',
  );
}
