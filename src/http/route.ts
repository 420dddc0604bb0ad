import type { ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { Deps } from '../deps.ts';
import type { Bearer } from '../domain/credentials.ts';
import type { Asker } from '../domain/events.ts';
import type { FloodLimit } from '../domain/limits.ts';
import type { ResourceServer } from '../domain/resource-servers.ts';
import type { SigningAgent, SigningHost } from '../domain/signed-requests.ts';
import { type Budget, Failure } from '../errors.ts';
import type { HostedAgentRow } from '../store/hosted-agents.ts';
import type { HostRow } from '../store/hosts.ts';
import type { Media } from './body.ts';
import type { Dialect } from './dialects/dialect.ts';
import { repeatedForm } from './pages/repeated.ts';
import type { Human, Visitor } from './visitor.ts';

/** Who may call a route, and what its handler is told of them. */
export interface Callers {
  anyone: undefined;
  /** A bearer, if one came along. A bad one is refused all the same. */
  agentIfAny: Bearer | undefined;
  agent: Bearer;
  resourceServer: ResourceServer;
  /** A host of the Agent Auth Protocol that signed the request. */
  agentHost: SigningHost & { host: HostRow };
  /** The same, perhaps for the first time. */
  newAgentHost: SigningHost;
  /** An agent under a host that signed the request for us. */
  hostedAgent: SigningAgent;
  /** The same, for the place where capabilities are used. */
  executingAgent: SigningAgent;
  /** Whichever of the two signed, if any; a host that nobody knows is nobody. */
  hostOrAgentIfAny: { host: HostRow; agent?: HostedAgentRow } | undefined;
  /** Somebody at a browser. What they post is theirs: see visitor.ts. */
  visitor: Visitor;
  /** A visitor who is signed in; who is not is led to the page for it. */
  human: Human;
  /** One who has typed a code within the last quarter of an hour; who has not is asked for one. */
  freshHuman: Human;
}
export type CallerKind = keyof Callers;

/** One request, checked: what a handler works with. */
export interface Call<Body, Kind extends CallerKind> {
  deps: Deps;
  asker: Asker;
  body: Body;
  /** The bytes of the body, for what must be the same at a repetition. */
  bytes: Uint8Array;
  caller: Callers[Kind];
  /** The `:name` parts of the path. */
  params: Record<string, string>;
  query: URLSearchParams;
  header(name: string): string | undefined;
}

/** What a handler answers; the dialect wraps `data`, `text` goes out as it is. */
export type Answer = {
  status?: number;
  headers?: Record<string, string>;
  /** Set-Cookie lines. */
  cookies?: readonly string[];
  /** The budget that the caller spends from, shown in RateLimit headers. */
  budget?: Budget | undefined;
} & (
  | { data: unknown }
  | { text: string; type: string }
  | { nothing: true }
  /** Goes on as long as the connection does; `type` is its media type. */
  | { stream(response: ServerResponse): void; type: string }
);

/** What answers a request. */
type Handler<Body, Kind extends CallerKind> = (call: Call<Body, Kind>) => Promise<Answer> | Answer;

/** A row of the table in app.ts. */
export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  /** Literal, or with `:name` parts. */
  path: string;
  dialect: Dialect;
  caller: CallerKind;
  /** Counted per client address; refused before the body is read. */
  limit: FloodLimit | undefined;
  /** Honours an Idempotency-Key; its use-case then asks for the limit, once it knows that this is no repetition. */
  repeatable: boolean;
  /** A sentence for the API description. */
  summary: string;
  body: { media: Media; schema: z.ZodType } | undefined;
  /** The shape of `data` in a successful answer. */
  answer: z.ZodType | undefined;
  /** A document that any web page may read and anybody may cache. */
  open: boolean;
  /** What any web page may call, without credentials of the browser's, and read the answer of (Fetch, CORS protocol). */
  cors: boolean;
  /** Whether there is something at a path with these parameters now; undefined: always. */
  exists: ((params: Record<string, string>) => Promise<boolean>) | undefined;
  /** Other versions of the protocol on the same path, known by their bodies; the first that knows it has it. */
  versions: readonly Version[];
  handler(call: Call<unknown, CallerKind>): Promise<Answer> | Answer;
}

/** Another version of a protocol on the path of a row: it takes, answers and refuses in its own way. */
export interface Version {
  /** Whether a body, read but not yet checked, is of this version. */
  speaks(parsed: Record<string, unknown>): boolean;
  dialect: Dialect;
  schema: z.ZodType;
  answer: z.ZodType | undefined;
  handler(call: Call<unknown, CallerKind>): Promise<Answer> | Answer;
}

/** Makes a version; it may be called by whom its row may be. */
export function version<Schema extends z.ZodType, Kind extends CallerKind>(of: {
  speaks: Version['speaks'];
  dialect: Dialect;
  schema: Schema;
  answer?: z.ZodType;
  handler: Handler<z.output<Schema>, Kind>;
}): Version {
  return { answer: undefined, ...of, handler: of.handler as Version['handler'] };
}

interface Row<Schema extends z.ZodType, Kind extends CallerKind> {
  dialect: Dialect;
  caller: Kind;
  limit?: FloodLimit;
  repeatable?: boolean;
  summary: string;
  body?: { media: Media; schema: Schema };
  answer?: z.ZodType;
  open?: boolean;
  cors?: boolean;
  exists?: Route['exists'];
  versions?: readonly Version[];
  handler(call: Call<z.output<Schema>, Kind>): Promise<Answer> | Answer;
}

/** Makes a row; the handler's types follow from the row's caller and schema. `line` is "METHOD /path". */
export function route<Schema extends z.ZodType, Kind extends CallerKind>(
  line: `${Route['method']} /${string}`,
  row: Row<Schema, Kind>,
): Route {
  const [method, path] = line.split(' ') as [Route['method'], string];
  const { handler, ...rest } = row;
  return {
    limit: undefined,
    repeatable: false,
    body: undefined,
    answer: undefined,
    open: false,
    cors: false,
    exists: undefined,
    versions: [],
    ...rest,
    method,
    path,
    // The one place where types are let go: serve() has checked body and caller against this very row.
    handler: handler as Route['handler'],
  };
}

/** A JSON body. */
export function json<Schema extends z.ZodType>(schema: Schema) {
  return { media: 'json', schema } as const;
}

/** Makes the rows of pages, which are looked at, or take a form: each in a line. */
export function pageRoutes(dialect: Dialect) {
  return {
    see: <Kind extends CallerKind>(
      path: `/${string}`,
      caller: Kind,
      summary: string,
      handler: Handler<undefined, Kind>,
    ) => route(`GET ${path}`, { dialect, caller, summary, handler }),

    post: <Kind extends CallerKind, Form extends z.ZodType>(
      path: `/${string}`,
      caller: Kind,
      summary: string,
      schema: Form,
      handler: Handler<z.output<Form>, Kind>,
      limit?: FloodLimit,
    ) => {
      const body = { media: 'form', schema } as const;
      const once: typeof handler = (call) =>
        repeatedForm(call as unknown as Call<unknown, 'visitor'>, () => handler(call));
      return route(`POST ${path}`, {
        dialect,
        caller,
        summary,
        body,
        handler: once,
        ...(limit && { limit }),
      });
    },
  };
}

/** What a path leads to. */
export type Match =
  | { kind: 'found'; route: Route; params: Record<string, string> }
  | { kind: 'wrongMethod'; route: Route; params: Record<string, string>; allow: string }
  | { kind: 'none' };

/** Looks up rows by path and method; a HEAD is served by the row of its GET. */
export function createMatcher(routes: readonly Route[]): (method: string, path: string) => Match {
  const literal = new Map<string, Route[]>();
  const patterns: { pattern: URLPattern; routes: Route[] }[] = [];
  for (const [path, rows] of Map.groupBy(routes, (row) => row.path)) {
    if (path.includes(':')) patterns.push({ pattern: new URLPattern({ pathname: path }), routes: rows });
    else literal.set(path, rows);
  }

  function find(path: string): { rows: Route[]; params: Record<string, string> } | undefined {
    const rows = literal.get(path);
    if (rows !== undefined) return { rows, params: {} };
    for (const { pattern, routes: found } of patterns) {
      const groups = pattern.exec({ pathname: path })?.pathname.groups;
      if (groups !== undefined) return { rows: found, params: groups as Record<string, string> };
    }
    return undefined;
  }

  return (method, path) => {
    const found = find(path);
    if (found === undefined) return { kind: 'none' };
    const wanted = method === 'HEAD' ? 'GET' : method;
    const row = found.rows.find((each) => each.method === wanted);
    if (row !== undefined) return { kind: 'found', route: row, params: found.params };
    const methods = found.rows.flatMap((each) => (each.method === 'GET' ? ['GET', 'HEAD'] : [each.method]));
    return { kind: 'wrongMethod', route: found.rows[0]!, params: found.params, allow: methods.join(', ') };
  };
}

/** What is said of a path that leads nowhere. */
export function nothingAtPath(publicUrl: string): Failure {
  return new Failure(
    'notFound',
    `There is nothing at this path. ${publicUrl}/auth.md describes what there is.`,
  );
}
