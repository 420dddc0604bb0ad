import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { isLoopbackHost } from '../config.ts';
import type { Deps } from '../deps.ts';
import { refuseIfSpent } from '../domain/limits.ts';
import { type Budget, Failure } from '../errors.ts';
import { parseAddress } from '../lib/address.ts';
import { newId } from '../lib/ids.ts';
import { readBody } from './body.ts';
import { identify } from './callers.ts';
import type { Dialect } from './dialects/dialect.ts';
import { native } from './dialects/native.ts';
import { oauth } from './dialects/oauth.ts';
import { type Answer, createMatcher, type Route } from './route.ts';

const HEADERS_MAX = 64;
const NO_BODY = Buffer.alloc(0);

/**
 * Takes every request from its arrival to its answer, in the order of checks of security.md 4: transport, host, route, method,
 * flood limit, media type, body, caller; then the row's handler. Whatever is thrown on the way is rendered in the dialect of
 * the path, and nothing else is ever told to the caller.
 */
export function createServe(deps: Deps, routes: readonly Route[]): (ctx: Context) => Promise<void> {
  const match = createMatcher(routes);
  const isOurHost = hostCheck(deps.config.publicUrl);
  const metadataUrl = `${deps.config.publicUrl}/.well-known/oauth-protected-resource`;
  const secure = deps.config.publicUrl.startsWith('https:');

  return async function serve(ctx) {
    const startedAt = performance.now();
    const requestId = newId('req', deps.clock(), deps.random);
    const { req, res } = ctx;
    res.setHeader('X-Request-Id', requestId);
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.setHeader('Referrer-Policy', 'no-referrer');
    if (secure) res.setHeader('Strict-Transport-Security', 'max-age=31536000; includeSubDomains');

    const asked = req.url ?? '/';
    const queryAt = asked.indexOf('?');
    const path = queryAt === -1 ? asked : asked.slice(0, queryAt);
    let dialect = dialectOf(path);
    let label = 'none';
    try {
      checkTransport(req, isOurHost);
      const found = match(req.method ?? '', path);
      if (found.kind === 'none') throw notFound(deps.config.publicUrl);
      if (found.kind === 'wrongMethod') {
        dialect = found.dialect;
        if (req.method === 'OPTIONS' && found.open) return preflight(ctx, found.allow);
        throw new Failure('wrongMethod', `Use ${found.allow} here.`, { allow: found.allow });
      }
      const { route, params } = found;
      dialect = route.dialect;
      label = `${route.method} ${route.path}`;
      if (queryAt !== -1) refuseTokenInQuery(asked.slice(queryAt));

      const address = parseAddress(clientAddress(req, deps.config.trustProxy));
      const asker = { address, requestId };
      if (route.limit !== undefined) await refuseIfSpent(deps, route.limit, address);
      const { body, bytes } = route.body
        ? await readBody(req, route.body)
        : { body: undefined, bytes: NO_BODY };
      const caller = await identify(route.caller, deps, asker, req, body);
      const header = (name: string) => ctx.get(name) || undefined;
      const answer = await route.handler({ deps, asker, body, bytes, caller, params, header });
      render(ctx, route, answer);
    } catch (error) {
      renderFailure(ctx, dialect, error, requestId);
    }
    const seconds = (performance.now() - startedAt) / 1000;
    deps.metrics.requests.observe({ route: label, status: ctx.status }, seconds);
    // The row, never the URL: an address bar is no place for secrets, but people put them there.
    deps.log.info(
      { id: requestId, route: label, status: ctx.status, ms: Math.round(seconds * 1e4) / 10 },
      'request',
    );
  };

  function render(ctx: Context, route: Route, answer: Answer): void {
    ctx.status = answer.status ?? 200;
    ctx.set('Cache-Control', route.open ? 'public, max-age=300' : 'no-store');
    if (route.open) ctx.set('Access-Control-Allow-Origin', '*');
    if (answer.budget) setBudget(ctx, answer.budget);
    for (const [name, value] of Object.entries(answer.headers ?? {})) ctx.set(name, value);
    if ('text' in answer) {
      ctx.type = answer.type;
      ctx.body = answer.text;
    } else if ('nothing' in answer) {
      ctx.body = '';
    } else {
      setJson(ctx, route.dialect.success(answer.data));
    }
  }

  function renderFailure(ctx: Context, dialect: Dialect, error: unknown, requestId: string): void {
    const failure =
      error instanceof Failure
        ? error
        : new Failure('internal', 'Something went wrong here. Repeat the request later.', {}, error);
    if (failure.cause !== undefined) deps.log.error({ id: requestId, err: failure.cause }, failure.kind);
    const { status, body } = dialect.failure(failure, requestId);
    ctx.status = status;
    ctx.set('Cache-Control', 'no-store');
    const challenge = dialect.challenge(failure, metadataUrl);
    if (challenge !== undefined) ctx.set('WWW-Authenticate', challenge);
    const { allow, budget, retryAfterSeconds = status === 503 ? 2 : undefined } = failure.details;
    if (allow !== undefined) ctx.set('Allow', allow);
    if (retryAfterSeconds !== undefined) ctx.set('Retry-After', String(retryAfterSeconds));
    if (budget !== undefined) setBudget(ctx, budget);
    // What is left of an unread body would be taken for the next request.
    if (!ctx.req.complete) ctx.set('Connection', 'close');
    setJson(ctx, body);
  }
}

/** Paths that no row knows still speak the dialect of their neighbours. */
function dialectOf(path: string): Dialect {
  return path.startsWith('/oauth2/') ? oauth : native;
}

function checkTransport(request: IncomingMessage, isOurHost: (host: string) => boolean): void {
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
  if (!isOurHost(request.headers.host ?? '')) {
    throw new Failure('misdirected', 'This service does not answer for that host.');
  }
}

/** Which Host headers are ours: that of PUBLIC_URL; on a developer's machine every name of the machine itself. */
function hostCheck(publicUrl: string): (host: string) => boolean {
  const { host: ours, hostname } = new URL(publicUrl);
  if (!isLoopbackHost(hostname)) return (host) => host.toLowerCase() === ours;
  return (host) =>
    host === ours || (/^[\w.[\]:-]+$/.test(host) && isLoopbackHost(host.replace(/:[0-9]+$/, '')));
}

/** The socket's address, or with trusted proxies the n-th X-Forwarded-For entry from the right: what stands left of it is hearsay. */
function clientAddress(request: IncomingMessage, trustedProxies: number): string | undefined {
  const socketAddress = request.socket.remoteAddress;
  if (trustedProxies === 0) return socketAddress;
  const header = request.headers['x-forwarded-for'];
  const entries = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',');
  return entries.at(-trustedProxies)?.trim() || socketAddress;
}

function refuseTokenInQuery(query: string): void {
  const parameters = new URLSearchParams(query);
  if (['access_token', 'token', 'credential', 'claim_token'].some((name) => parameters.has(name))) {
    throw new Failure(
      'badRequest',
      'A secret in the URL is not accepted. Send it in the header or the body.',
    );
  }
}

function notFound(publicUrl: string): Failure {
  return new Failure(
    'notFound',
    `There is nothing at this path. ${publicUrl}/auth.md describes what there is.`,
  );
}

function preflight(ctx: Context, allow: string): void {
  ctx.set('Access-Control-Allow-Origin', '*');
  ctx.set('Access-Control-Allow-Methods', allow);
  ctx.set('Access-Control-Allow-Headers', 'authorization, content-type, mcp-protocol-version');
  ctx.set('Access-Control-Max-Age', '86400');
  ctx.set('Cache-Control', 'no-store');
  ctx.status = 204;
}

function setJson(ctx: Context, body: unknown): void {
  ctx.set('Content-Type', 'application/json; charset=utf-8');
  ctx.body = JSON.stringify(body);
}

/** The RateLimit fields of the IETF's draft-ietf-httpapi-ratelimit-headers. */
function setBudget(ctx: Context, budget: Budget): void {
  ctx.set('RateLimit-Policy', `"${budget.name}";q=${budget.max};w=${budget.windowSeconds}`);
  ctx.set('RateLimit', `"${budget.name}";r=${budget.remaining};t=${budget.resetSeconds}`);
}
