import type { z } from 'zod';
import type { Deps } from '../../deps.ts';
import type { ResourceServer } from '../../domain/audiences/resource-servers.ts';
import type { Bearer } from '../../domain/credentials/bearer.ts';
import type { SigningAgent, SigningHost } from '../../domain/hosts/signed-requests.ts';
import type { FloodLimit } from '../../domain/limits/flood-limit.ts';
import type { SigningKey } from '../../domain/permissions/key-holders.ts';
import type { Budget } from '../../errors.ts';
import type { HostedAgentRow } from '../../store/hosted-agents.ts';
import type { HostRow } from '../../store/hosts.ts';
import type { RequestOrigin } from '../../work.ts';
import type { Dialect } from '../dialects/dialect.ts';
import type { Media } from './body.ts';
import type { BrowserContext, SignedInUser } from './browser-session.ts';

/** The callers that a row can demand, and what its handler receives for each. */
export interface Callers {
  anyone: undefined;
  /** The bearer of a key or token; undefined without an Authorization header. An invalid credential is refused. */
  agentIfAny: Bearer | undefined;
  /** The bearer of a key or token. */
  agent: Bearer;
  /** A resource server that authenticated with its client_id and client_secret. */
  resourceServer: ResourceServer;
  /** A known host of the Agent Auth Protocol that signed the request. */
  agentHost: SigningHost & { host: HostRow };
  /** A host that signed the request; it may be unknown. */
  hostOrNewHost: SigningHost;
  /** An agent under a host that signed the request, with this service as audience. */
  hostedAgent: SigningAgent;
  /** An agent under a host that signed the request, with the execute endpoint as audience. */
  executingAgent: SigningAgent;
  /** The host or the agent that signed the request; undefined without a signature, or when the host is unknown. */
  hostOrAgentIfAny: { host: HostRow; agent?: HostedAgentRow } | undefined;
  /** A session key, of an agent or of a human's terminal, that signed the request for exactly this URL. */
  sessionKey: SigningKey;
  /** A browser, signed in or not. A post must come from a page of ours: see browser-session.ts. */
  browser: BrowserContext;
  /** A signed-in user. Others are redirected to the sign-in page. */
  signedInUser: SignedInUser;
  /** A user who signed in within the last 15 minutes. Others are redirected to type a new code. */
  recentlyVerifiedUser: SignedInUser;
  /**
   * An operator whose session began with a second factor. Everybody else gets 404; who is not signed in is redirected,
   * if there are operators at all.
   */
  operator: SignedInUser;
  /** An operator who signed in within the last 15 minutes. */
  recentlyVerifiedOperator: SignedInUser;
}

export type CallerKind = keyof Callers;

/** Whether rows for this caller are hidden from everybody else. */
export function isForOperators(kind: CallerKind): boolean {
  return kind === 'operator' || kind === 'recentlyVerifiedOperator';
}

/** A request that has passed all checks, as its handler receives it. */
export interface Call<Body, Kind extends CallerKind> {
  deps: Deps;
  origin: RequestOrigin;
  body: Body;
  /** The body as sent: a repetition under one Idempotency-Key must have the same bytes. */
  bytes: Uint8Array;
  caller: Callers[Kind];
  /** The `:name` and `*name` parts of the path, not percent-decoded. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** Returns a header of the request, by its lowercase name. */
  header(name: string): string | undefined;
}

/** Writes the body of a streamed response. */
export interface Sink {
  write(text: string): void;
  /** Ends the response. */
  end(): void;
  /** Closes the connection without ending the response. */
  destroy(): void;
  /** How many bytes Node buffers for the connection. */
  unsentBytes(): number;
  onClose(listener: () => void): void;
}

/** The result of a handler. The dialect wraps `data`; `text` and `bytes` are sent as they are. */
export type HandlerResult = {
  status?: number;
  headers?: Record<string, string>;
  /** Set-Cookie lines. */
  cookies?: readonly string[];
  /** The budget that the request consumed, for the RateLimit headers. */
  budget?: Budget | undefined;
} & (
  | { data: unknown }
  | { text: string; type: string }
  | { bytes: Buffer; type: string }
  | { nothing: true }
  /** `type` is the media type, also of `text`. */
  | { stream(sink: Sink): void; type: string }
);

export type Handle<Body, Kind extends CallerKind> = (
  call: Call<Body, Kind>,
) => Promise<HandlerResult> | HandlerResult;

/** What a row does, without its method, path and limit. It is declared next to its handler. */
export interface Operation<Kind extends CallerKind = CallerKind> {
  caller: Kind;
  /** The summary in the OpenAPI document. */
  summary: string;
  /**
   * Whether it accepts an Idempotency-Key. With one, the use case checks the flood limit, after it knows that the
   * request is no repetition.
   */
  repeatable: boolean;
  body: { media: Media; schema: z.ZodType } | undefined;
  /** The schema of `data` in a successful response. */
  answer: z.ZodType | undefined;
  /** A public document: cacheable, and any web page may read it (S-68, S-69). */
  open: boolean;
  /**
   * Whether any web page may call it and read the response, without the browser's credentials (Fetch, CORS protocol;
   * S-68).
   */
  cors: boolean;
  /** Whether a resource exists at the path with these parameters; undefined: always. */
  exists: ((params: Record<string, string>) => Promise<boolean>) | undefined;
  /** Other versions of the protocol on the same path. The first one that matches the body handles the request. */
  versions: readonly Version[];
  handle: Handle<unknown, CallerKind>;
}

/** Creates an operation. The types of its handler follow from its caller and the schema of its body. */
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
    // The cast is safe: router.ts checks caller and body against this operation before it calls the handler.
    handle: of.handle as Operation['handle'],
  };
}

/**
 * Another version of a protocol on the path of a row, with a schema, dialect and handler of its own
 * (docs/adr/0010-versions-of-auth-md.md).
 */
export interface Version {
  /** Whether a parsed body, not yet checked against a schema, is of this version. */
  matches(parsed: Record<string, unknown>): boolean;
  dialect: Dialect;
  schema: z.ZodType;
  answer: z.ZodType | undefined;
  handle: Operation['handle'];
}

/** Creates a version. Its caller is that of its row. */
export function version<Schema extends z.ZodType, Kind extends CallerKind>(of: {
  matches: Version['matches'];
  dialect: Dialect;
  schema: Schema;
  answer?: z.ZodType;
  handle: Handle<z.output<Schema>, Kind>;
}): Version {
  return { answer: undefined, ...of, handle: of.handle as Version['handle'] };
}

/** A row of the table in app.ts. */
export interface Row {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Literal, or with `:name` and `*name` parts (path-to-regexp). */
  path: string;
  /** The limit per client address, checked before the body is read; undefined: none. */
  limit: FloodLimit | undefined;
  operation: Operation;
}

/**
 * Creates a row.
 *
 * @param _caller the caller of the operation, repeated for the reader of the table; the compiler checks that both are
 * the same
 */
export function row<Kind extends CallerKind>(
  method: Row['method'],
  path: string,
  _caller: NoInfer<Kind>,
  limit: Row['limit'],
  of: Operation<Kind>,
): Row {
  return { method, path, limit, operation: of };
}

/** A row merged with its operation and the dialect of its protocol. */
export interface Route extends Operation, Omit<Row, 'operation'> {
  dialect: Dialect;
}

/** Creates the routes of one protocol. */
export function rows(dialect: Dialect, of: readonly Row[]): Route[] {
  return of.map(({ operation: definition, ...rest }) => ({ dialect, ...rest, ...definition }));
}

/** Declares a body of the media type application/json. */
export function json<Schema extends z.ZodType>(schema: Schema) {
  return { media: 'json', schema } as const;
}

/** Declares a body of the media type application/x-www-form-urlencoded. @param media what its values may be */
export function urlencoded<Schema extends z.ZodType>(
  schema: Schema,
  media: 'form' | 'choicesForm' | 'artifactForm' = 'form',
) {
  return { media, schema } as const;
}
