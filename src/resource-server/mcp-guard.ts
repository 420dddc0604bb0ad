import { LRUCache } from 'lru-cache';
import { challenge } from './challenge.ts';
import { createGuard, type Guard, type GuardOptions } from './guard.ts';
import type { Args, Policy } from './policy.ts';
import type { VerifiedToken } from './token.ts';

/** What stands before an MCP server over Streamable HTTP: the key, the session, the rules of the tools; refusals in JSON-RPC. */

/** The codes of JSON-RPC 2.0, and those that MCP servers add. */
export const JSON_RPC = {
  credentialsRequired: -32001,
  forbidden: -32003,
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
} as const;

export interface McpGuardOptions extends GuardOptions {
  /** Which tools the key may call; without it every key that the guard lets in may call all. */
  policy?: Policy;
  /** Refuse requests after `initialize` that do not say their MCP-Protocol-Version; default false. */
  requireProtocolVersion?: boolean;
  /** Whose sessions there are; without it sessions are not looked at. */
  sessions?: SessionOwners;
}

/** Lets a request in, with the session that is really the caller's; or says what to answer. */
export type McpDecision =
  | { token: VerifiedToken; sessionId: string | undefined }
  | { status: number; headers: Record<string, string>; body: object };

/** @param body the parsed JSON; undefined for GET and DELETE */
export type McpGuard = (header: Parameters<Guard>[0], body?: unknown) => Promise<McpDecision>;

/**
 * The subjects that opened sessions. An id alone gives no right: whoever learns it is not the one who opened it. A session follows its
 * agent into the account that the agent is merged into, and nobody else there; out of it again it does not.
 */
export interface SessionOwners {
  opened(sessionId: string, token: VerifiedToken): void;
  isOwner(sessionId: string, token: VerifiedToken): boolean;
  closed(sessionId: string): void;
}

/** Kept in this process; a server with replicas keeps them where all see them. */
export function createSessionOwners(max = 100_000): SessionOwners {
  const owners = new LRUCache<string, Pick<VerifiedToken, 'subject' | 'agentId'>>({ max });
  const keep = (sessionId: string, { subject, agentId }: VerifiedToken) =>
    void owners.set(sessionId, { subject, agentId });
  return {
    opened: keep,
    isOwner(sessionId, token) {
      const owner = owners.get(sessionId);
      if (owner === undefined || owner.agentId !== token.agentId) return false;
      if (owner.subject === token.subject) return true;
      // Without an agent there is nobody whom a merge could have moved.
      if (token.agentId === undefined || owner.subject !== token.mergedFrom) return false;
      keep(sessionId, token);
      return true;
    },
    closed: (sessionId) => void owners.delete(sessionId),
  };
}

interface Message {
  id?: string | number;
  method: string;
  params?: { name?: unknown; arguments?: unknown };
}

export function createMcpGuard(options: McpGuardOptions): McpGuard {
  const { policy, sessions, requireProtocolVersion = false } = options;
  const guard = createGuard(options);
  const about = { ...options, resource: options.verifier.resource, issuer: options.verifier.issuer };

  return async (header, body) => {
    const messages = body === undefined ? [] : readMessages(body);
    const id = messages?.[0]?.id ?? null;
    const decision = await guard(header);
    if (!('token' in decision)) {
      const { status, headers, body: said } = decision;
      const isMissing = said.error === 'unauthorized';
      const code = CODES[status];
      const { error_description: description, ...data } = said;
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
    const isFirst = messages.some(({ method }) => method === 'initialize' || method === 'server/discover');
    if (requireProtocolVersion && !isFirst && isEmpty(version)) {
      return invalid(id, 'The header MCP-Protocol-Version is required after initialization.');
    }

    const claimed = one(header('mcp-session-id'));
    const isTheirs = claimed !== undefined && (sessions === undefined || sessions.isOwner(claimed, token));
    const sessionId = isTheirs ? claimed : undefined;
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
    const { reason, message, scope } = verdict;
    const body = rpcError(id ?? null, JSON_RPC.forbidden, message, {
      error: 'forbidden',
      reason,
      ...(scope && { scope }),
    });
    // Only more scope can be asked for; clients that know how do so on this very answer (MCP authorization, step-up).
    if (reason !== 'missing_scope' || scope === undefined) return { status: 200, headers: {}, body };
    const said = challenge(about, { error: 'insufficient_scope', scopes: [scope], description: message });
    return { status: 403, headers: { 'WWW-Authenticate': said }, body };
  }
}

const CODES = {
  400: JSON_RPC.invalidRequest,
  401: JSON_RPC.credentialsRequired,
  402: JSON_RPC.forbidden,
  403: JSON_RPC.forbidden,
  429: JSON_RPC.forbidden,
  503: JSON_RPC.internalError,
} as const;

/** What belongs to a session: what it is told of later must not reach another. */
const NEEDS_SESSION = /^(resources\/(un)?subscribe|tasks\/.*)$/;

/** An error answer of JSON-RPC 2.0. */
export function rpcError(id: string | number | null, code: number, message: string, data?: object): object {
  return { jsonrpc: '2.0', id, error: { code, message, ...(data && { data }) } };
}

function invalid(id: string | number | null, message: string): McpDecision {
  return { status: 400, headers: {}, body: rpcError(id, JSON_RPC.invalidRequest, message) };
}

/** One message, or a batch of them; undefined for anything else. Answers of the client have no method and need no rule. */
function readMessages(body: unknown): Message[] | undefined {
  const all = Array.isArray(body) ? body : [body];
  const isMessage = (each: unknown) =>
    typeof each === 'object' && each !== null && 'jsonrpc' in each && each.jsonrpc === '2.0';
  if (all.length === 0 || all.length > 100 || !all.every(isMessage)) return undefined;
  return all.map((each) => (typeof each.method === 'string' ? each : { ...each, method: '' })) as Message[];
}

function one(value: string | readonly string[] | undefined): string | undefined {
  const all = [value ?? []].flat();
  return all.length === 1 ? all[0] : undefined;
}

function isEmpty(value: string | readonly string[] | undefined): boolean {
  return [value ?? []].flat().length === 0;
}
