import { LRUCache } from 'lru-cache';
import { challenge } from './challenge.ts';
import { createGuard, type Guard, type GuardOptions } from './guard.ts';
import type { Args, Policy } from './policy.ts';
import type { VerifiedToken } from './token.ts';

/** Protects an MCP server over Streamable HTTP: checks key, session and rules of tools, and refuses in JSON-RPC. */

/** The error codes of JSON-RPC 2.0, `headerMismatch` of MCP, and two that MCP servers add: `credentialsRequired` and `forbidden`. */
export const JSON_RPC = {
  credentialsRequired: -32001,
  forbidden: -32003,
  /** A header says something else than the message (MCP of 2026-07-28, Streamable HTTP). */
  headerMismatch: -32020,
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
} as const;

/** The options of createMcpGuard(). */
export interface McpGuardOptions extends GuardOptions {
  /** Decides which tools a key may call. Without it, every accepted key may call all tools. */
  policy?: Policy;
  /** Whether to refuse requests after `initialize` without the header MCP-Protocol-Version; default false. */
  requireProtocolVersion?: boolean;
  /** Who opened which session. Without it, sessions are not checked. */
  sessions?: SessionOwners;
  /**
   * The origins whose web pages may call, besides that of this server. Programs send no `Origin`; a page of any other origin is
   * refused, whatever it carries (MCP transports, DNS rebinding).
   */
  allowedOrigins?: readonly string[];
}

/** The verified token and the id of the caller's own session (undefined: none), or the response to a refused request. */
export type McpDecision =
  | { token: VerifiedToken; sessionId: string | undefined }
  | { status: number; headers: Record<string, string>; body: object };

/**
 * Decides on a request.
 *
 * @param header returns all values of a request header, by its name in lower case
 * @param body the parsed JSON; undefined for GET and DELETE
 * @param request as for a Guard
 */
export type McpGuard = (
  header: Parameters<Guard>[0],
  body?: unknown,
  request?: Parameters<Guard>[1],
) => Promise<McpDecision>;

/**
 * Records who opened which session: a session id alone grants no access. If the agent that opened a session is merged, its
 * session follows it into the new account, where no other agent can use it. It does not follow the agent out of there again.
 */
export interface SessionOwners {
  /** Records who opened a session. */
  opened(sessionId: string, token: VerifiedToken): void;
  /** Reports whether a caller may use a session. */
  isOwner(sessionId: string, token: VerifiedToken): boolean;
  /** Removes a session. */
  closed(sessionId: string): void;
}

/**
 * Creates SessionOwners in the memory of this process. A server with replicas needs a store that they share.
 *
 * @param max how many sessions are kept; the least recently used one is removed
 */
export function createSessionOwners(max = 100_000): SessionOwners {
  const owners = new LRUCache<string, Pick<VerifiedToken, 'subject' | 'agentId'>>({ max });
  const setOwner = (sessionId: string, { subject, agentId }: VerifiedToken) =>
    void owners.set(sessionId, { subject, agentId });
  return {
    opened: setOwner,
    isOwner(sessionId, token) {
      const owner = owners.get(sessionId);
      if (owner === undefined || owner.agentId !== token.agentId) return false;
      if (owner.subject === token.subject) return true;
      // Only an agent can be merged.
      if (token.agentId === undefined || owner.subject !== token.mergedFrom) return false;
      setOwner(sessionId, token);
      return true;
    },
    closed: (sessionId) => void owners.delete(sessionId),
  };
}

interface Message {
  id?: string | number;
  method: string;
  params?: { name?: unknown; arguments?: unknown; _meta?: Record<string, unknown> };
}

/** Creates a guard for the endpoint of an MCP server. */
export function createMcpGuard(options: McpGuardOptions): McpGuard {
  const { policy, sessions, requireProtocolVersion = false, allowedOrigins = [] } = options;
  const origins = new Set([new URL(options.verifier.resource).origin, ...allowedOrigins]);
  const guard = createGuard(options);
  const resourceOptions = {
    ...options,
    resource: options.verifier.resource,
    issuer: options.verifier.issuer,
  };

  return async (header, body, request) => {
    const messages = body === undefined ? [] : readMessages(body);
    const id = messages?.[0]?.id ?? null;
    const origin = header('origin');
    if (!isEmpty(origin) && !origins.has(singleValue(origin) ?? '')) {
      const body = rpcError(id, JSON_RPC.forbidden, 'Web pages of this origin may not call.');
      return { status: 403, headers: {}, body };
    }
    // Where a policy decides about each call, it also decides about its place.
    const decision = await guard(header, request, policy === undefined ? undefined : 'anywhere');
    if (!('token' in decision)) {
      const { status, headers, body: responseBody } = decision;
      const isMissing = responseBody.error === 'unauthorized';
      const code = JSON_RPC_BY_STATUS[status];
      const { error_description: description, ...data } = responseBody;
      const message = isMissing ? 'credentials required' : description;
      return {
        status,
        headers,
        body: rpcError(id, code, message, isMissing ? { message: description } : data),
      };
    }
    const { token } = decision;
    if (messages === undefined) return invalid(null, 'This is no JSON-RPC 2.0 request.');

    const version = header('mcp-protocol-version');
    const isInitialization = messages.some(
      ({ method }) => method === 'initialize' || method === 'server/discover',
    );
    if (requireProtocolVersion && !isInitialization && isEmpty(version)) {
      return invalid(id, 'The header MCP-Protocol-Version is required after initialization.');
    }

    const mismatch = messages
      .map((message) => findMismatch(message, header))
      .find((each) => each !== undefined);
    if (mismatch !== undefined) {
      const message = `The header ${mismatch} does not say what the message says.`;
      return { status: 400, headers: {}, body: rpcError(id, JSON_RPC.headerMismatch, message) };
    }

    const requestedId = singleValue(header('mcp-session-id'));
    const isOwned =
      requestedId !== undefined && (sessions === undefined || sessions.isOwner(requestedId, token));
    const sessionId = isOwned ? requestedId : undefined;
    for (const message of messages) {
      if (sessions !== undefined && sessionId === undefined && NEEDS_SESSION.test(message.method)) {
        return invalid(
          message.id ?? null,
          'Mcp-Session-Id required: a session that you have opened yourself.',
        );
      }
      const refused = policy && (await decideCall(policy, token, message));
      if (refused) return refused;
    }
    return { token, sessionId };
  };

  async function decideCall(
    rules: Policy,
    token: VerifiedToken,
    { id = undefined, method, params }: Message,
  ): Promise<McpDecision | undefined> {
    if (method !== 'tools/call') return undefined;
    if (typeof params?.name !== 'string') return invalid(id ?? null, 'tools/call needs the name of a tool.');
    const args = typeof params.arguments === 'object' ? ((params.arguments ?? {}) as Args) : {};
    const verdict = await rules.decide(token, params.name, args);
    if (verdict.allowed) return undefined;
    const { reason, message, scope, cap } = verdict;
    const body = rpcError(id ?? null, JSON_RPC.forbidden, message, {
      error: 'forbidden',
      reason,
      ...(scope && { scope }),
      ...(cap && { cap }),
      // A path may hold what a shell takes for its own.
      ...(cap && /^[\w.:@~,/-]+$/.test(cap) && { hint: `vouchsafe auth request --cap "${cap}"` }),
    });
    // 403 only if more scope helps: clients that support step-up (MCP authorization) then request it.
    if (reason !== 'missing_scope' || scope === undefined) return { status: 200, headers: {}, body };
    const challengeHeader = challenge(resourceOptions, {
      error: 'insufficient_scope',
      scopes: [scope],
      description: message,
    });
    return { status: 403, headers: { 'WWW-Authenticate': challengeHeader }, body };
  }
}

const JSON_RPC_BY_STATUS = {
  400: JSON_RPC.invalidRequest,
  401: JSON_RPC.credentialsRequired,
  402: JSON_RPC.forbidden,
  403: JSON_RPC.forbidden,
  429: JSON_RPC.forbidden,
  503: JSON_RPC.internalError,
} as const;

/** Methods that need a session: their later notifications must not reach another client. */
const NEEDS_SESSION = /^(resources\/(un)?subscribe|tasks\/.*)$/;

/** The member of `_meta` in which a client names the revision of MCP that it speaks, from 2026-07-28 on. */
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';

/**
 * Finds a header that contradicts a message: whatever stands between client and server may have judged the request by it (MCP of
 * 2026-07-28, Streamable HTTP, request metadata). What a message leaves out, and older clients do, is not compared.
 */
function findMismatch({ method, params }: Message, header: Parameters<Guard>[0]): string | undefined {
  const version = params?._meta?.[VERSION_KEY];
  if (version === undefined) return undefined;
  if (singleValue(header('mcp-protocol-version')) !== version) return 'MCP-Protocol-Version';
  const [saidMethod, saidName] = [header('mcp-method'), header('mcp-name')];
  if (!isEmpty(saidMethod) && singleValue(saidMethod) !== method) return 'Mcp-Method';
  const name = method === 'tools/call' ? params?.name : undefined;
  if (name !== undefined && !isEmpty(saidName) && decodeName(singleValue(saidName)) !== name)
    return 'Mcp-Name';
  return undefined;
}

/** Decodes the value of Mcp-Name: what headers cannot hold comes as `=?base64?…?=`. */
function decodeName(value: string | undefined): string | undefined {
  const [, encoded] = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value ?? '') ?? [];
  return encoded === undefined ? value : Buffer.from(encoded, 'base64').toString('utf8');
}

/** Creates an error response of JSON-RPC 2.0. */
export function rpcError(id: string | number | null, code: number, message: string, data?: object): object {
  return { jsonrpc: '2.0', id, error: { code, message, ...(data && { data }) } };
}

function invalid(id: string | number | null, message: string): McpDecision {
  return { status: 400, headers: {}, body: rpcError(id, JSON_RPC.invalidRequest, message) };
}

/** Reads one message or a batch; undefined for anything else. Responses of the client have no method and need no rule. */
function readMessages(body: unknown): Message[] | undefined {
  const all = Array.isArray(body) ? body : [body];
  const isMessage = (each: unknown) =>
    typeof each === 'object' && each !== null && 'jsonrpc' in each && each.jsonrpc === '2.0';
  if (all.length === 0 || all.length > 100 || !all.every(isMessage)) return undefined;
  return all.map((each) => (typeof each.method === 'string' ? each : { ...each, method: '' })) as Message[];
}

function singleValue(value: string | readonly string[] | undefined): string | undefined {
  const all = [value ?? []].flat();
  return all.length === 1 ? all[0] : undefined;
}

function isEmpty(value: string | readonly string[] | undefined): boolean {
  return [value ?? []].flat().length === 0;
}
