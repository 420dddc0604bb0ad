import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Budget, Failure } from '../../errors.ts';
import type { Dialect, PageReader } from '../dialects/dialect.ts';
import type { HandlerResult, Operation, Sink } from './table.ts';

/** A rendered response. */
export interface HttpResponse {
  status: number;
  headers: Record<string, string | string[]>;
  body: string | Buffer;
  /** Writes the body in parts, in place of `body`. */
  stream?: (sink: Sink) => void;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern covers all of ASCII
const NON_ASCII = /[^\u0000-\u007f]/;
const JSON_TYPE = 'application/json; charset=utf-8';

/** Renders the result of a handler in the dialect of its row or of the matching version. */
export function renderResult(
  route: Pick<Operation, 'open'>,
  dialect: Dialect,
  result: HandlerResult,
): HttpResponse {
  const headers: HttpResponse['headers'] = {
    'Cache-Control': route.open ? 'public, max-age=300' : 'no-store',
    ...result.headers,
  };
  if (result.cookies?.length) headers['Set-Cookie'] = [...result.cookies];
  if (result.budget) setBudget(headers, result.budget);
  const status = result.status ?? 200;
  if ('nothing' in result) return { status, headers, body: '' };
  if ('stream' in result) {
    headers['Content-Type'] = result.type;
    return { status, headers, body: '', stream: result.stream };
  }
  if ('text' in result || 'bytes' in result) {
    headers['Content-Type'] = result.type;
    return { status, headers, body: 'text' in result ? result.text : result.bytes };
  }
  headers['Content-Type'] = JSON_TYPE;
  return { status, headers, body: JSON.stringify(dialect.success(result.data)) };
}

/**
 * Renders a failure in a dialect, with the headers of its details: WWW-Authenticate, Retry-After, Allow, Location and
 * others.
 *
 * @param reader who reads it, for a page
 */
export function renderFailure(
  dialect: Dialect,
  failure: Failure,
  requestId: string,
  metadataUrl: string,
  publicUrl: string,
  reader?: PageReader,
): HttpResponse {
  const { status, body } = dialect.failure(failure, requestId);
  const headers: HttpResponse['headers'] = { 'Cache-Control': 'no-store', 'Content-Type': JSON_TYPE };
  if (dialect.page !== undefined) Object.assign(headers, dialect.page.headers);
  const challenge = dialect.challenge(failure, metadataUrl);
  if (challenge !== undefined) headers['WWW-Authenticate'] = challenge;
  const { allow, budget, retryAfterSeconds = status === 503 ? 2 : undefined } = failure.details;
  if (allow !== undefined) headers.Allow = allow;
  if (failure.details.location !== undefined) headers.Location = publicUrl + failure.details.location;
  if (failure.details.cookies?.length) headers['Set-Cookie'] = [...failure.details.cookies];
  if (retryAfterSeconds !== undefined) headers['Retry-After'] = String(retryAfterSeconds);
  if (budget !== undefined) setBudget(headers, budget);
  return { status, headers, body: (reader && dialect.page?.render(body, reader)) ?? JSON.stringify(body) };
}

/**
 * Lets any web page read a response, also a failure (S-68). The value is `*`, with which browsers expose no response to
 * a request with credentials (Fetch, CORS protocol).
 */
export function setCorsHeaders({ headers }: HttpResponse): void {
  headers['Access-Control-Allow-Origin'] = '*';
  headers['Access-Control-Expose-Headers'] = READABLE_HEADERS;
}

/** The headers that a client acts on; a web page can read no others. */
const READABLE_HEADERS =
  'WWW-Authenticate, DPoP-Nonce, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id';

/**
 * Creates the response to a CORS preflight (Fetch, CORS-preflight request).
 *
 * @param allow the methods of the path, as in the Allow header
 */
export function preflightResponse(allow: string): HttpResponse {
  const headers = {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': allow,
    'Access-Control-Allow-Headers': 'authorization, content-type, dpop, mcp-protocol-version',
    'Access-Control-Max-Age': '86400',
    'Cache-Control': 'no-store',
  };
  return { status: 204, headers, body: '' };
}

/**
 * Sends a response in one write, at the end of the turn of the event loop. Responses that are written together save a
 * quarter of the time of an introspection under load (docs/adr/0008-http.md). A stream starts at once.
 *
 * @param secure whether the public URL is https, for Strict-Transport-Security
 */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: HttpResponse,
  requestId: string,
  secure: boolean,
): void {
  const { headers } = answer;
  headers['X-Request-Id'] = requestId;
  headers['X-Content-Type-Options'] = 'nosniff';
  headers['Referrer-Policy'] = 'no-referrer';
  if (secure) headers['Strict-Transport-Security'] = 'max-age=31536000; includeSubDomains';
  // The parser would read the rest of an unread body as the next request.
  const hasBody = 'content-length' in request.headers || 'transfer-encoding' in request.headers;
  if (hasBody && !request.complete) headers.Connection = 'close';
  if (answer.stream !== undefined && request.method !== 'HEAD') {
    response.writeHead(answer.status, headers);
    response.flushHeaders();
    answer.stream(createSink(response));
    return;
  }
  // Most responses are ASCII, which Node writes fastest as latin1: one byte per character, without UTF-8 encoding.
  const { body } = answer;
  const encoding = typeof body === 'string' && NON_ASCII.test(body) ? 'utf8' : 'latin1';
  if (answer.status !== 204) headers['Content-Length'] = String(Buffer.byteLength(body, encoding));
  if (pendingResponses.length === 0) setImmediate(writePending);
  pendingResponses.push({ response, answer, encoding });
}

/** The responses to write at the end of this turn. */
const pendingResponses: { response: ServerResponse; answer: HttpResponse; encoding: 'utf8' | 'latin1' }[] =
  [];

function writePending(): void {
  for (const { response, answer, encoding } of pendingResponses.splice(0)) {
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body, encoding);
  }
}

function createSink(response: ServerResponse): Sink {
  return {
    write: (text) => void response.write(text),
    end: () => void response.end(),
    destroy: () => void response.destroy(),
    unsentBytes: () => response.writableLength,
    onClose: (listener) => void response.on('close', listener),
  };
}

/** Sets the RateLimit fields (draft-ietf-httpapi-ratelimit-headers). */
function setBudget(headers: HttpResponse['headers'], budget: Budget): void {
  headers['RateLimit-Policy'] = `"${budget.name}";q=${budget.max};w=${budget.windowSeconds}`;
  headers.RateLimit = `"${budget.name}";r=${budget.remaining};t=${budget.resetSeconds}`;
}
