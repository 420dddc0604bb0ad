import Router, { type RouterContext } from '@koa/router';
import type { Deps } from '../../deps.ts';
import { assertFloodLimit } from '../../domain/limits/flood-limit.ts';
import { Failure } from '../../errors.ts';
import { agentAuthProtocol } from '../dialects/agent-auth-protocol.ts';
import { authMd } from '../dialects/auth-md.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { oauth } from '../dialects/oauth.ts';
import { tinysend } from '../dialects/tinysend.ts';
import { identify } from './authenticate.ts';
import { checkShape, readBody } from './body.ts';
import { clientAddress } from './client-address.ts';
import type { Context, Middleware, RequestState } from './context.ts';
import { PATHS } from './paths.ts';
import { preflight, renderResult } from './respond.ts';
import type { Route } from './table.ts';
import { refuseUnknownMembers } from './unknown-members.ts';

/** The routes of the application, by protocol, in the order in which they are looked through: the hottest first. */
export type RouteTable = readonly (readonly Route[])[];
/** The rows of each path, one for each method. */
type RoutesAt = ReadonlyMap<string, readonly Route[]>;

export function groupByPath(table: RouteTable): RoutesAt {
  return Map.groupBy(table.flat(), ({ path }) => path);
}

type RowRouter = Router<RequestState>;

/**
 * So many requests in work at most: past that an answer would come too late. Those of newcomers, which a
 * limit counts, are turned away first, so that what is already at work goes on. One that still sends its body is not in work.
 */
const IN_WORK_MAX = 2000;
const NEWCOMERS_IN_WORK_MAX = 500;
const NO_QUERY = new URLSearchParams();
const NO_BODY = { parsed: undefined, bytes: Buffer.alloc(0) };

/** A router for each protocol: one that had all rows would try the pattern of each. */
export function createRouters(deps: Deps, table: RouteTable): RowRouter[] {
  const handlerOf = rowHandlers(deps);
  return table.map((routes) => {
    const router: RowRouter = new Router({ sensitive: true, strict: true });
    for (const route of routes) router.register(route.path, [route.method], handlerOf(route));
    return router;
  });
}

/** What is done at a row: flood limit, media type, body, caller, in this order, then its handler. */
function rowHandlers(deps: Deps): (route: Route) => Middleware {
  let inWork = 0;
  return (route) => {
    const label = `${route.method} ${route.path}`;
    const isForWebPages = route.open || route.cors;
    const inWorkMax = route.limit === undefined ? IN_WORK_MAX : NEWCOMERS_IN_WORK_MAX;

    return async (ctx) => {
      const { req, state } = ctx;
      const params = paramsOf(ctx);
      if (route.exists && !(await route.exists(params))) throw nothingAtPath(deps.config.publicUrl);
      state.dialect = route.dialect;
      state.route = label;
      state.isForWebPages = isForWebPages;
      const query = state.target.query === '' ? NO_QUERY : new URLSearchParams(state.target.query);
      refuseTokenInQuery(query);

      const address = clientAddress(req, deps.config.trustProxy);
      const origin = { address, requestId: state.id };
      const mayRepeat = route.repeatable && req.headers['idempotency-key'] !== undefined;
      if (route.limit !== undefined && !mayRepeat) await assertFloodLimit(deps, route.limit, address);
      const { parsed, bytes } = route.body ? await readBody(req, route.body.media) : NO_BODY;
      const version = parsed && route.versions.find((each) => each.matches(parsed));
      const dialect = version?.dialect ?? route.dialect;
      state.dialect = dialect;
      const schema = version?.schema ?? route.body?.schema;
      const body = schema && checkShape(parsed, schema);
      // Other protocols demand that what is not known is ignored (RFC 6749 section 3.1, auth.md).
      if (schema && (dialect === tinysend || dialect.page)) refuseUnknownMembers(parsed, schema);
      if (inWork >= inWorkMax) throw overloaded();
      inWork += 1;
      try {
        const caller = await identify(route.caller, deps, origin, req, body);
        const header = (name: string) => req.headers[name] as string | undefined;
        const { handle } = version ?? route;
        const result = await handle({ deps, origin, body, bytes, caller, params, query, header });
        state.response = renderResult(route, dialect, result);
      } finally {
        inWork -= 1;
      }
    };
  };
}

/** The parts of a path as they were written: the router would decode them, `%00` to what PostgreSQL takes in no text. */
function paramsOf(ctx: Context): Record<string, string> {
  const { captures = [], router, routerPath } = ctx as RouterContext<RequestState>;
  if (captures.length === 0) return {};
  return nameParts(router.stack.find(({ path }) => path === routerPath)!.paramNames, captures);
}

function nameParts(names: readonly { name: string }[], parts: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map(({ name }, index) => [name, parts[index]!]));
}

/** Refuses what no row has answered: 404; where other methods are taken 405, or the answer to a browser's preflight. */
export function refuseUnrouted(deps: Deps, routesAt: RoutesAt): Middleware {
  return async (ctx) => {
    const { state, req } = ctx;
    const layer = (ctx as RouterContext<RequestState>).matched?.at(0);
    const routes = routesAt.get(String(layer?.path));
    const [first] = routes ?? [];
    if (routes === undefined || first === undefined) throw nothingAtPath(deps.config.publicUrl);
    const params = nameParts(layer!.paramNames, layer!.captures(state.target.path));
    if (first.exists && !(await first.exists(params))) throw nothingAtPath(deps.config.publicUrl);
    const methods = routes.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    const allow = methods.join(', ');
    state.dialect = first.dialect;
    const isForWebPages = first.open || first.cors;
    if (req.method === 'OPTIONS' && isForWebPages) {
      state.response = preflight(allow);
      return;
    }
    state.isForWebPages = isForWebPages;
    throw new Failure('wrongMethod', `Use ${allow} here.`, { allow });
  };
}

/**
 * The dialect in which a request is refused that reached no row: that of the row it was for, a page for a browser that went astray,
 * or that of its neighbors.
 *
 * @param pages the dialect of pages
 */
export function createDialectAt(
  routers: readonly RowRouter[],
  routesAt: RoutesAt,
  pages: Dialect,
): (ctx: Context) => Dialect {
  return ({ req, state }) => {
    const { path } = state.target;
    const method = req.method ?? '';
    const [layer] = routers.flatMap((router) => router.match(path, method).path);
    const [route] = routesAt.get(String(layer?.path)) ?? [];
    if (route !== undefined && route.exists === undefined) return route.dialect;
    const wantsPage = method === 'GET' && /\btext\/html\b/.test(req.headers.accept ?? '');
    return wantsPage ? pages : dialectOfNeighbors(path);
  };
}

function dialectOfNeighbors(path: string): Dialect {
  if (path.startsWith('/oauth2/')) return oauth;
  if (path.startsWith('/capability/') || path.startsWith('/host/')) return agentAuthProtocol;
  return path === PATHS.identity || path.startsWith(`${PATHS.identity}/`) ? authMd : tinysend;
}

function nothingAtPath(publicUrl: string): Failure {
  return new Failure(
    'notFound',
    `There is nothing at this path. ${publicUrl}/auth.md describes what there is.`,
  );
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
