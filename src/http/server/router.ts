import type { IncomingMessage } from 'node:http';
import Router, { type RouterContext } from '@koa/router';
import type { Deps } from '../../deps.ts';
import { assertFloodLimit } from '../../domain/limits/flood-limit.ts';
import { Failure } from '../../errors.ts';
import { agentAuthProtocol } from '../dialects/agent-auth-protocol.ts';
import { authMd } from '../dialects/auth-md.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { oauth } from '../dialects/oauth.ts';
import { tinysend } from '../dialects/tinysend.ts';
import { authenticateCaller } from './authenticate.ts';
import { parseWithSchema, readBody } from './body.ts';
import { clientAddress } from './client-address.ts';
import type { Context, Middleware, RequestState } from './context.ts';
import { PATHS } from './paths.ts';
import { findFormPage, isOfTypedField, showFormAgain } from './refused-forms.ts';
import { preflightResponse, renderResult } from './respond.ts';
import { isConsoleHidden, pathNotFound } from './signed-in-callers.ts';
import { isForOperators, type Route } from './table.ts';
import { refuseUnknownMembers } from './unknown-members.ts';

/**
 * The routes by protocol, in matching order. A request passes each router before its own, which tries all its rows: so short
 * ones with the most frequent rows come first.
 */
export type RouteTable = readonly (readonly Route[])[];

/** The routes of each path, one per method. */
type RoutesByPath = ReadonlyMap<string, readonly Route[]>;

/** Groups the routes of the table by path. */
export function groupByPath(table: RouteTable): RoutesByPath {
  return Map.groupBy(table.flat(), ({ path }) => path);
}

type RowRouter = Router<RequestState>;

/**
 * How many requests the service processes at once; more would get their responses too late. The lower maximum is
 * for routes with a flood limit, such as registration, so that overload refuses newcomers before connected agents. A
 * request counts once its body is read.
 */
const ACTIVE_MAX = 2000;
const ACTIVE_MAX_WITH_FLOOD_LIMIT = 500;
const NO_QUERY = new URLSearchParams();
const NO_BODY = { parsed: undefined, bytes: Buffer.alloc(0) };

/** Creates one router per protocol. A single router would try the pattern of every row (docs/adr/0001-koa.md). */
export function createRouters(deps: Deps, table: RouteTable): RowRouter[] {
  const handlerOf = createRowHandlers(deps, groupByPath(table));
  return table.map((routes) => {
    const router: RowRouter = new Router({ sensitive: true, strict: true });
    for (const route of routes) router.register(route.path, [route.method], handlerOf(route));
    return router;
  });
}

/**
 * Creates the middleware of a row: checks flood limit, media type, body and caller, in this order, then calls the
 * handler.
 */
function createRowHandlers(deps: Deps, routesByPath: RoutesByPath): (route: Route) => Middleware {
  let activeRequests = 0;
  return (route) => {
    const label = `${route.method} ${route.path}`;
    const allowsCors = route.open || route.cors;
    const mayHide = canBeHidden(route);
    const formPage = findFormPage(route, routesByPath);
    const activeMax = route.limit === undefined ? ACTIVE_MAX : ACTIVE_MAX_WITH_FLOOD_LIMIT;

    return async (ctx) => {
      const { req, state } = ctx;
      const params = paramsOf(ctx);
      if (mayHide && (await isHidden(deps, route, params, req))) throw pathNotFound(deps.config.publicUrl);
      state.dialect = route.dialect;
      state.route = label;
      state.allowsCors = allowsCors;
      const query = state.target.query === '' ? NO_QUERY : readQuery(state.target.query);

      const address = clientAddress(req, deps.config.trustProxy);
      const origin = { address, requestId: state.id };
      const hasIdempotencyKey = route.repeatable && req.headers['idempotency-key'] !== undefined;
      if (route.limit !== undefined && !hasIdempotencyKey) await assertFloodLimit(deps, route.limit, address);
      const { parsed, bytes } = route.body ? await readBody(req, route.body.media) : NO_BODY;
      const version = parsed && route.versions.find((each) => each.matches(parsed));
      const dialect = version?.dialect ?? route.dialect;
      state.dialect = dialect;
      const schema = version?.schema ?? route.body?.schema;
      let body: unknown;
      let refused: Failure | undefined;
      try {
        body = schema && parseWithSchema(parsed, schema);
      } catch (error) {
        if (formPage === undefined || !isOfTypedField(error)) throw error;
        refused = error;
      }
      // OAuth and auth.md require that unknown members are ignored (RFC 6749 section 3.1).
      if (schema && !refused && (dialect === tinysend || dialect.page)) refuseUnknownMembers(parsed, schema);
      if (activeRequests >= activeMax) throw overloaded();
      activeRequests += 1;
      try {
        const header = (name: string) => req.headers[name] as string | undefined;
        const call = { deps, origin, bytes, params, query, header };
        if (refused !== undefined) {
          const page = await showFormAgain(formPage!, route.caller, call, req, parsed!, refused);
          state.response = renderResult(route, dialect, page);
          return;
        }
        const caller = await authenticateCaller(route.caller, deps, origin, req, body, state.target.path);
        const { handle } = version ?? route;
        const result = await handle({ ...call, body, caller });
        state.response = renderResult(route, dialect, result);
      } finally {
        activeRequests -= 1;
      }
    };
  };
}

/** Reports whether a request finds nothing at a row: no such resource, or one that is for operators alone. */
async function isHidden(
  deps: Deps,
  { exists, caller }: Route,
  params: Record<string, string>,
  request: IncomingMessage,
): Promise<boolean> {
  if (exists !== undefined && !(await exists(params))) return true;
  return isForOperators(caller) && (await isConsoleHidden(deps, request));
}

/** Reports whether some requests find nothing at a row, and must not learn that it is there. */
function canBeHidden({ exists, caller }: Route): boolean {
  return exists !== undefined || isForOperators(caller);
}

/** Reads the path parameters as written. The router would decode `%00` to NUL, which PostgreSQL refuses in text. */
function paramsOf(ctx: Context): Record<string, string> {
  const { captures = [], router, routerPath } = ctx as RouterContext<RequestState>;
  if (captures.length === 0) return {};
  return toParams(router.stack.find(({ path }) => path === routerPath)!.paramNames, captures);
}

function toParams(names: readonly { name: string }[], parts: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map(({ name }, index) => [name, parts[index]!]));
}

/**
 * Creates the middleware for requests that no row has answered. It answers the CORS preflight of rows that web pages
 * may call.
 *
 * @returns a middleware that throws Failure `notFound`, or `wrongMethod` when the path has rows for other methods
 */
export function respondUnrouted(deps: Deps, routesByPath: RoutesByPath): Middleware {
  return async (ctx) => {
    const { state, req } = ctx;
    const layer = (ctx as RouterContext<RequestState>).matched?.at(0);
    const routes = routesByPath.get(String(layer?.path));
    const [first] = routes ?? [];
    if (routes === undefined || first === undefined) throw pathNotFound(deps.config.publicUrl);
    const params = toParams(layer!.paramNames, layer!.captures(state.target.path));
    if (await isHidden(deps, first, params, req)) throw pathNotFound(deps.config.publicUrl);
    const methods = routes.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    const allow = methods.join(', ');
    state.dialect = first.dialect;
    const allowsCors = first.open || first.cors;
    if (req.method === 'OPTIONS' && allowsCors) {
      state.response = preflightResponse(allow);
      return;
    }
    state.allowsCors = allowsCors;
    throw new Failure('wrongMethod', `Use ${allow} here.`, { allow });
  };
}

/**
 * Creates the function that chooses the dialect for a failure before a row has matched: the dialect of the path's row,
 * that of the pages for a browser on an unknown path, or else that of the path's prefix.
 *
 * @param pages the dialect of the pages
 */
export function createDialectSelector(
  routers: readonly RowRouter[],
  routesByPath: RoutesByPath,
  pages: Dialect,
): (ctx: Context) => Dialect {
  return ({ req, state }) => {
    const { path } = state.target;
    const method = req.method ?? '';
    const [layer] = routers.flatMap((router) => router.match(path, method).path);
    const [route] = routesByPath.get(String(layer?.path)) ?? [];
    if (route !== undefined && !canBeHidden(route)) return route.dialect;
    const acceptsHtml = method === 'GET' && /\btext\/html\b/.test(req.headers.accept ?? '');
    return acceptsHtml ? pages : dialectByPrefix(path);
  };
}

function dialectByPrefix(path: string): Dialect {
  if (path.startsWith('/oauth2/')) return oauth;
  if (path.startsWith('/capability/') || path.startsWith('/host/')) return agentAuthProtocol;
  return path === PATHS.identity || path.startsWith(`${PATHS.identity}/`) ? authMd : tinysend;
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

/** @throws Failure `badRequest` for a secret in the URL, where logs and the browser history would keep it */
function readQuery(text: string): URLSearchParams {
  const query = new URLSearchParams(text);
  if (SECRET_PARAMETERS.some((name) => query.has(name))) {
    throw new Failure(
      'badRequest',
      'A secret in the URL is not accepted. Send it in the header or the body.',
    );
  }
  return query;
}

function overloaded(): Failure {
  return new Failure(
    'unavailable',
    'There is more to do here than can be done in time. Nothing was changed; repeat the request later.',
  );
}
