import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Session } from '../../domain/accounts/sessions.ts';
import type { Budget, Failure } from '../../errors.ts';
import type { Dialect } from '../dialects/dialect.ts';
import type { HandlerResult, Operation, Sink } from './table.ts';

/** What goes back over the wire. */
export interface HttpResponse {
  status: number;
  headers: Record<string, string | string[]>;
  body: string;
  /** In place of a body: what writes on as long as the connection lasts. */
  stream?: (sink: Sink) => void;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
const BEYOND_ASCII = /[^\u0000-\u007f]/;
const JSON_TYPE = 'application/json; charset=utf-8';

/** What a handler answers in the dialect of its row, or of the version that was used. */
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
  if ('text' in result) {
    headers['Content-Type'] = result.type;
    return { status, headers, body: result.text };
  }
  headers['Content-Type'] = JSON_TYPE;
  return { status, headers, body: JSON.stringify(dialect.success(result.data)) };
}

/**
 * A failure in the dialect of its path, with the headers that follow from its kind.
 *
 * @param session of whoever is signed in, where it is a page
 */
export function renderFailure(
  dialect: Dialect,
  failure: Failure,
  requestId: string,
  metadataUrl: string,
  publicUrl: string,
  session?: Session,
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
  return { status, headers, body: dialect.page?.render(body, session) ?? JSON.stringify(body) };
}

/**
 * Lets any web page read a reply, also one that refuses. Never with credentials, and no origin is repeated: what counts is in
 * the request itself.
 */
export function allowWebPages({ headers }: HttpResponse): void {
  headers['Access-Control-Allow-Origin'] = '*';
  headers['Access-Control-Expose-Headers'] = READABLE_HEADERS;
}

/** What a client acts on; the rest is none of a web page's business. */
const READABLE_HEADERS = 'WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id';

/** The answer to a browser that asks whether it may read a document (Fetch, CORS preflight). */
export function preflight(allow: string): HttpResponse {
  const headers = {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': allow,
    'Access-Control-Allow-Headers': 'authorization, content-type, mcp-protocol-version',
    'Access-Control-Max-Age': '86400',
    'Cache-Control': 'no-store',
  };
  return { status: 204, headers, body: '' };
}

/**
 * Writes a reply in one piece, at the end of the event loop's turn: answers that leave together wake their readers, and the
 * system's network code, once and not each by itself, which under load spares a quarter of the whole work.
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
  // What is left of an unread body would be taken for the next request.
  const hasBody = 'content-length' in request.headers || 'transfer-encoding' in request.headers;
  if (hasBody && !request.complete) headers.Connection = 'close';
  if (answer.stream !== undefined && request.method !== 'HEAD') {
    response.writeHead(answer.status, headers);
    response.flushHeaders();
    answer.stream(createSink(response));
    return;
  }
  // Most answers are ASCII, of which Node writes one byte a character without looking at each again.
  const encoding = BEYOND_ASCII.test(answer.body) ? 'utf8' : 'latin1';
  if (answer.status !== 204) headers['Content-Length'] = String(Buffer.byteLength(answer.body, encoding));
  if (waiting.length === 0) setImmediate(writeWaiting);
  waiting.push({ response, answer, encoding });
}

/** What leaves at the end of this turn. */
const waiting: { response: ServerResponse; answer: HttpResponse; encoding: 'utf8' | 'latin1' }[] = [];

function writeWaiting(): void {
  for (const { response, answer, encoding } of waiting.splice(0)) {
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body, encoding);
  }
}

function createSink(response: ServerResponse): Sink {
  return {
    write: (text) => void response.write(text),
    end: () => void response.end(),
    cut: () => void response.destroy(),
    unsentBytes: () => response.writableLength,
    onClose: (listener) => void response.on('close', listener),
  };
}

/** The RateLimit fields of the IETF's draft-ietf-httpapi-ratelimit-headers. */
function setBudget(headers: HttpResponse['headers'], budget: Budget): void {
  headers['RateLimit-Policy'] = `"${budget.name}";q=${budget.max};w=${budget.windowSeconds}`;
  headers.RateLimit = `"${budget.name}";r=${budget.remaining};t=${budget.resetSeconds}`;
}
