import type { z } from 'zod';
import type { Deps } from '../../deps.ts';
import type { ResourceServer } from '../../domain/audiences/resource-servers.ts';
import type { Bearer } from '../../domain/credentials/bearer.ts';
import type { SigningAgent, SigningHost } from '../../domain/hosts/signed-requests.ts';
import type { FloodLimit } from '../../domain/limits/flood-limit.ts';
import type { Budget } from '../../errors.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import type { RequestOrigin } from '../../work.ts';
import type { Dialect } from '../dialects/dialect.ts';
import type { Media } from './body.ts';
import type { BrowserContext, SignedInUser } from './browser-session.ts';

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
  hostOrNewHost: SigningHost;
  /** An agent under a host that signed the request for us. */
  hostedAgent: SigningAgent;
  /** The same, for the place where capabilities are used. */
  executingAgent: SigningAgent;
  /** Whichever of the two signed, if any; a host that nobody knows is nobody. */
  hostOrAgentIfAny: { host: HostRow; agent?: HostedAgentRow } | undefined;
  /** Somebody at a browser. What they post is theirs: see browser-session.ts. */
  browser: BrowserContext;
  /** Somebody who is signed in; whoever is not is led to the page for it. */
  signedInUser: SignedInUser;
  /** One who has typed a code within the last quarter of an hour; who has not is asked for one. */
  recentlyVerifiedUser: SignedInUser;
}
export type CallerKind = keyof Callers;

/** One request, checked: what a handler works with. */
export interface Call<Body, Kind extends CallerKind> {
  deps: Deps;
  origin: RequestOrigin;
  body: Body;
  /** The bytes of the body, for what must be the same at a repetition. */
  bytes: Uint8Array;
  caller: Callers[Kind];
  /** The `:name` parts of the path. */
  params: Record<string, string>;
  query: URLSearchParams;
  header(name: string): string | undefined;
}

/** Where an answer that goes on is written, as long as its connection lasts. */
export interface Sink {
  write(text: string): void;
  end(): void;
  /** Ends the connection without a word. */
  cut(): void;
  /** What was written and has not left yet, in bytes. */
  unsentBytes(): number;
  onClose(listener: () => void): void;
}

/** What a handler answers; the dialect wraps `data`, `text` goes out as it is. */
export type HandlerResult = {
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
  /** `type` is its media type. */
  | { stream(sink: Sink): void; type: string }
);

export type Handle<Body, Kind extends CallerKind> = (
  call: Call<Body, Kind>,
) => Promise<HandlerResult> | HandlerResult;

/** What is done at a path, apart from the path: it stands beside its handler. */
export interface Operation<Kind extends CallerKind = CallerKind> {
  caller: Kind;
  /** A sentence for the API description. */
  summary: string;
  /** Honors an Idempotency-Key; its use case then asks for the limit, once it knows that this is no repetition. */
  repeatable: boolean;
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
  handle: Handle<unknown, CallerKind>;
}

/** Makes an operation; the types of its handler follow from its caller and the schema of its body. */
export function operation<Kind extends CallerKind, Schema extends z.ZodType>(
  of: Pick<Operation, 'summary'> &
    Partial<Pick<Operation, 'repeatable' | 'answer' | 'open' | 'cors' | 'exists' | 'versions'>> & {
      caller: Kind;
      body?: { media: Media; schema: Schema };
      handle(call: Call<z.output<Schema>, Kind>): Promise<HandlerResult> | HandlerResult;
    },
): Operation<Kind> {
  return {
    repeatable: false,
    body: undefined,
    answer: undefined,
    open: false,
    cors: false,
    exists: undefined,
    versions: [],
    ...of,
    // The one place where types are let go: router.ts has checked body and caller against this very operation.
    handle: of.handle as Operation['handle'],
  };
}

/** Another version of a protocol on the path of a row: it takes, answers and refuses in its own way. */
export interface Version {
  /** Whether a body, read but not yet checked, is of this version. */
  matches(parsed: Record<string, unknown>): boolean;
  dialect: Dialect;
  schema: z.ZodType;
  answer: z.ZodType | undefined;
  handle: Operation['handle'];
}

/** Makes a version; it may be called by whom its row may be. */
export function version<Schema extends z.ZodType, Kind extends CallerKind>(of: {
  matches: Version['matches'];
  dialect: Dialect;
  schema: Schema;
  answer?: z.ZodType;
  handle: Handle<z.output<Schema>, Kind>;
}): Version {
  return { answer: undefined, ...of, handle: of.handle as Version['handle'] };
}

/** A row of the table in app.ts: a path, and what an auditor wants to see at once. */
export interface Row {
  method: 'GET' | 'POST' | 'DELETE';
  /** Literal, or with `:name` and `*name` parts (path-to-regexp). */
  path: string;
  /** Counted per client address; refused before the body is read. */
  limit: FloodLimit | undefined;
  operation: Operation;
}

/** Makes a row. The caller stands in it for the reader, and is checked against the operation's by the compiler. */
export function row<Kind extends CallerKind>(
  method: Row['method'],
  path: string,
  _caller: NoInfer<Kind>,
  limit: Row['limit'],
  of: Operation<Kind>,
): Row {
  return { method, path, limit, operation: of };
}

/** A row with the dialect of its protocol. */
export interface Route extends Operation, Omit<Row, 'operation'> {
  dialect: Dialect;
}

/** The rows of one protocol. */
export function rows(dialect: Dialect, of: readonly Row[]): Route[] {
  return of.map(({ operation: what, ...where }) => ({ dialect, ...where, ...what }));
}

/** A JSON body. */
export function json<Schema extends z.ZodType>(schema: Schema) {
  return { media: 'json', schema } as const;
}

/** A body of the media type application/x-www-form-urlencoded. */
export function urlencoded<Schema extends z.ZodType>(schema: Schema) {
  return { media: 'form', schema } as const;
}
