import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Reply, TestService } from './service.ts';

/** What a test sends where `fetch` would be too polite: any method, any header any number of times, no headers of its own. */
export function send(
  on: Pick<TestService, 'url'>,
  method: string,
  path: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
  body?: string | Uint8Array,
): Promise<Reply> {
  const { hostname, port, host } = new URL(on.url);
  const named = (name: string) => headers.some(([each]) => each.toLowerCase() === name);
  const all = [...headers];
  if (!named('host')) all.push(['Host', host]);
  if (body !== undefined && !named('transfer-encoding')) {
    all.push(['Content-Length', String(Buffer.byteLength(body))]);
  }
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { hostname, port, method, path, headers: all.flat(), agent: CONNECTIONS, setHost: false },
      async (response) => {
        const chunks: Buffer[] = [];
        response.on('error', reject);
        for await (const chunk of response) chunks.push(chunk as Buffer);
        resolve(toReply(response.statusCode!, response.rawHeaders, Buffer.concat(chunks).toString('utf8')));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

const CONNECTIONS = new Agent({ keepAlive: true, maxSockets: 16 });

/** Bytes on a bare socket, and all that comes back until the other side closes. */
export function sendRaw(on: Pick<TestService, 'url'>, text: string): Promise<string> {
  const { port } = new URL(on.url);
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(received);
      else reject(error);
    });
    socket.on('close', () => resolve(received));
  });
}

/** One answer as it came over a socket. */
export function parseRaw(received: string): Reply {
  const [head = '', ...rest] = received.split('\r\n\r\n');
  const [line = '', ...headers] = head.split('\r\n');
  const pairs = headers.flatMap((header) => {
    const colon = header.indexOf(':');
    return [header.slice(0, colon), header.slice(colon + 1).trim()];
  });
  return toReply(Number(line.split(' ')[1]), pairs, rest.join('\r\n\r\n'));
}

function toReply(status: number, rawHeaders: readonly string[], text: string): Reply {
  const headers = new Headers();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index]!, rawHeaders[index + 1]!);
  }
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // some answers are no JSON
  }
  return { status, headers, text, body };
}

export type DialectName =
  | 'tinysend'
  | 'oauth'
  | 'page'
  | 'auth.md'
  | 'auth.md production'
  | 'security events'
  | 'agent protocol';

/** What stands in hostile input, and must stand in no answer. */
export const MARK = 'zQmarkQz';

/**
 * Asserts a refusal as the dialect spells it, with everything that every refusal carries (docs/security.md, bad input).
 *
 * @param code of no meaning for a page, which has words for people; `older/production` where auth.md has two names
 */
export function assertRefused(
  t: ExecutionContext,
  on: Pick<TestService, 'url'>,
  reply: Reply,
  dialect: DialectName,
  status: number,
  code: string,
  about: string,
): void {
  t.is(reply.status, status, `${about}: ${reply.text}`);
  assertFailureShape(t, on, reply, dialect, about);
  if (dialect !== 'page') t.is(codeOf(reply, dialect), code, about);
}

/** The name of a refusal, as `assertRefused` takes it; nothing for a page. */
export function codeOf({ body }: Pick<Reply, 'body'>, dialect: DialectName): string {
  switch (dialect) {
    case 'page':
      return '';
    case 'tinysend':
      return body.error.code;
    case 'security events':
      return body.err;
    case 'oauth':
    case 'agent protocol':
      return body.error;
    case 'auth.md':
    case 'auth.md production':
      return body.error === body.code ? body.error : `${body.error}/${body.code}`;
  }
}

const NATIVE_MEMBERS = [
  'code',
  'message',
  'retryable',
  'request_id',
  'field',
  'attempts_remaining',
  'verification_uri',
];

const AUTH_MD_MEMBERS = [
  'error',
  'code',
  'message',
  'error_description',
  'request_id',
  'field',
  'attempts_remaining',
  'verification_uri',
  'max_age',
  'retry_after',
];
/** RFC 6749 5.2 names the characters. */
const OAUTH_TEXT = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/;
const AGENT_AUTH = /^AgentAuth error="([a-z_]+)"(?:, max_age="([0-9]+)")?, error_description="([^"\\]+)"$/;

export function assertFailureShape(
  t: ExecutionContext,
  on: Pick<TestService, 'url'>,
  reply: Reply,
  dialect: DialectName,
  about: string,
): void {
  const { status, headers, body } = reply;
  t.true(status >= 400 && status < 500, `${about}: ${status} ${reply.text}`);
  if (dialect === 'page') {
    assertPage(t, reply, about);
    t.true(reply.text.includes(`<code>${headers.get('x-request-id')}</code>`), about);
  } else {
    t.is(headers.get('content-type'), 'application/json; charset=utf-8', about);
    assertHeaders(t, reply, about);
  }
  if (dialect === 'tinysend') {
    t.deepEqual(Object.keys(body), ['ok', 'error'], about);
    t.false(body.ok, about);
    for (const name of Object.keys(body.error)) t.true(NATIVE_MEMBERS.includes(name), `${about}: ${name}`);
    t.regex(body.error.code, /^[a-z_]+$/, about);
    t.true(body.error.message.length > 10, about);
    t.is(typeof body.error.retryable, 'boolean', about);
    t.is(body.error.request_id, headers.get('x-request-id'), about);
  } else if (dialect === 'oauth') {
    t.deepEqual(Object.keys(body), ['error', 'error_description'], about);
    t.regex(body.error, OAUTH_TEXT, about);
    t.regex(body.error_description, OAUTH_TEXT, about);
  } else if (dialect === 'security events') {
    t.deepEqual(Object.keys(body), ['err', 'description'], about);
    t.regex(body.err, /^[a-z_]+$/, about);
    t.true(body.description.length > 10, about);
    t.is(headers.get('www-authenticate'), null, about);
  } else if (dialect === 'agent protocol') {
    assertProtocolFailure(t, on, reply, about);
  } else if (dialect !== 'page') {
    assertAuthMdFailure(t, reply, dialect, about);
  }
  if (status === 401 && (dialect === 'tinysend' || dialect === 'oauth')) {
    const metadata = `Bearer resource_metadata="${on.url}/.well-known/oauth-protected-resource"`;
    t.truthy(headers.get('www-authenticate')?.includes(metadata), about);
  }
  if (status === 429) t.regex(headers.get('retry-after') ?? '', /^[1-9][0-9]*$/, about);
  t.false(reply.text.includes(MARK), `${about}: what was sent is repeated: ${reply.text}`);
}

/** What stands in a refusal of the Agent Auth Protocol beside its code and message (Agent Auth Protocol 1.0-draft, section 5). */
const PROTOCOL_MEMBERS = [
  'error',
  'message',
  'request_id',
  'field',
  'retry_after',
  'invalid_capabilities',
  'unknown_operators',
  'violations',
];

function assertProtocolFailure(
  t: ExecutionContext,
  on: Pick<TestService, 'url'>,
  reply: Reply,
  about: string,
): void {
  const { status, headers, body } = reply;
  const names = Object.keys(body);
  t.deepEqual(names.slice(0, 2), ['error', 'message'], about);
  for (const name of names) t.true(PROTOCOL_MEMBERS.includes(name), `${about}: ${name}`);
  t.regex(body.error, /^[a-z_]+$/, about);
  t.true(body.message.length > 10, about);
  t.is(body.request_id, headers.get('x-request-id'), about);
  const discovery = `AgentAuth discovery="${on.url}/.well-known/agent-configuration"`;
  t.is(headers.get('www-authenticate'), status === 401 ? discovery : null, about);
}

/** The flat answers of auth.md's own versions, with their own challenge (auth.md v0.6, POST /agent/identity; docs/dialects.md). */
function assertAuthMdFailure(t: ExecutionContext, reply: Reply, dialect: DialectName, about: string): void {
  const { status, headers, body } = reply;
  const names = Object.keys(body);
  t.deepEqual(names.slice(0, 5), AUTH_MD_MEMBERS.slice(0, 5), about);
  for (const name of names) t.true(AUTH_MD_MEMBERS.includes(name), `${about}: ${name}`);
  t.regex(body.error, /^[a-z_]+$/, about);
  t.regex(body.code, /^[a-z_]+$/, about);
  if (dialect === 'auth.md production') t.is(body.error, body.code, about);
  t.true(body.message.length > 10, about);
  t.is(body.error_description, body.message, about);
  t.is(body.request_id, headers.get('x-request-id'), about);
  if (body.retry_after !== undefined) {
    t.is(headers.get('retry-after'), String(body.retry_after), about);
  }
  const challenge = headers.get('www-authenticate');
  if (status !== 401) {
    t.is(challenge, null, about);
    return;
  }
  const [, error, maxAge, description] = AGENT_AUTH.exec(challenge ?? '') ?? t.fail(`${about}: ${challenge}`);
  t.is(error, body.error, about);
  t.is(maxAge, body.max_age === undefined ? undefined : String(body.max_age), about);
  t.is(description, body.message.replaceAll('"', "'"), about);
}

/** A page for people: nobody may frame, keep or sniff it, and it loads and runs nothing but what is ours. */
export function assertPage(t: ExecutionContext, reply: Reply, about: string): void {
  const { headers, text } = reply;
  t.is(headers.get('content-type'), 'text/html; charset=utf-8', about);
  assertHeaders(t, reply, about);
  const policy = headers.get('content-security-policy')?.split('; ') ?? [];
  for (const part of [
    "default-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
  ]) {
    t.true(policy.includes(part), `${about}: ${part} is not in ${policy}`);
  }
  for (const part of policy) t.notRegex(part, /unsafe|\*|https?:|data:/, about);
  t.is(headers.get('x-frame-options'), 'DENY', about);
  if (text !== '') {
    t.regex(text, /^<!doctype html>\n<html lang="en">/, about);
    t.regex(text, /<h1>[^<]+<\/h1>/, about);
  }
  t.false(text.includes(MARK), `${about}: what was sent is repeated: ${text}`);
}

/** What every answer that may hold a secret or a refusal carries. */
export function assertHeaders(t: ExecutionContext, reply: Reply, about: string): void {
  const { headers } = reply;
  t.is(headers.get('cache-control'), 'no-store', about);
  t.is(headers.get('x-content-type-options'), 'nosniff', about);
  t.is(headers.get('referrer-policy'), 'no-referrer', about);
  t.regex(headers.get('x-request-id') ?? '', /^req_[0-9A-Za-z]+$/, about);
  // Web pages may read a few answers, by a credential that they send themselves; never by what a browser keeps.
  t.true([null, '*'].includes(headers.get('access-control-allow-origin')), about);
  t.is(headers.get('access-control-allow-credentials'), null, about);
  for (const telltale of ['server', 'x-powered-by']) t.is(headers.get(telltale), null, about);
}
