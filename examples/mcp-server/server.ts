import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { createVerifier, protectedResourceMetadata, type VerifierOptions } from 'vouchsafe/resource-server';
import { createMcpGuard, createSessionOwners, rpcError } from 'vouchsafe/resource-server/mcp';
import { addApphub } from './apphub.ts';
import { readJson, send } from './http.ts';
import { registerMyself } from './register.ts';
import { loadRules } from './rules.ts';
import { addStableBaseline } from './stable-baseline.ts';
import { addTinyCommand } from './tiny-command.ts';
import { createToolbox } from './toolbox.ts';
import { createWorkspaces, type Workspaces } from './workspaces.ts';

/**
 * An MCP server on the official SDK, over Streamable HTTP, for any key or token of Vouchsafe: `npm start` in one terminal, `npm run
 * example:mcp` in another. Its things lie in workspaces (workspaces.ts); the rules say who may call what, where (rules.ts); the
 * tools are those of three products (apphub.ts, stable-baseline.ts, tiny-command.ts), as far as the service has rules for them.
 */
export interface Settings extends Pick<VerifierOptions, 'cacheSeconds' | 'follow'> {
  issuer: string;
  /** The URL of this MCP server, as agents know it. */
  resource: string;
  clientId: string;
  clientSecret: string;
  port: number;
  /** For people, in the metadata, and the realm of its challenges. */
  name?: string;
}

const NAME = 'Example MCP server';

export interface Started {
  server: Server;
  workspaces: Workspaces;
  stop(): Promise<void>;
}

export async function startMcpServer(settings: Settings): Promise<Started> {
  const { resource, issuer, name = NAME } = settings;
  const onError = (error: unknown) => console.error('vouchsafe:', error);
  const workspaces = createWorkspaces(settings, onError);
  const { policy, scopes, usualScopes } = await loadRules(settings, workspaces);
  const verifier = createVerifier({
    ...settings,
    onError,
    onMerge: ({ from, to }) => workspaces.merge(from, to),
    onWorkspaceCreated: ({ workspace }) => void workspaces.open(workspace),
    onWorkspaceDeleted: ({ workspace }) => workspaces.forget(workspace),
  });
  const metadata = protectedResourceMetadata({ resource, issuer, scopes, name });
  const sessions = createSessionOwners();
  const guard = createMcpGuard({
    verifier,
    policy,
    sessions,
    realm: name,
    challengeScopes: usualScopes,
    requireProtocolVersion: true,
  });
  const open = new Map<string, StreamableHTTPServerTransport>();

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = req.url?.split('?')[0] ?? '';
    if (metadata.paths.includes(path)) {
      return send(res, 200, { 'Access-Control-Allow-Origin': '*' }, metadata.document);
    }
    if (path !== new URL(resource).pathname) return send(res, 404, {}, { error: 'not_found' });
    const body = req.method === 'POST' ? await readJson(req) : undefined;
    const decision = await guard((header) => req.headersDistinct[header], body, {
      method: req.method!,
      url: req.url!,
    });
    if (!('token' in decision)) return send(res, decision.status, decision.headers, decision.body);

    const { token, sessionId } = decision;
    // A session is used by all keys of its owner: what a tool may do is what the key of this one request may do.
    const auth = { token: '', clientId: token.keyId, scopes: [...token.scopes], extra: { token } };
    const request = Object.assign(req, { auth });
    const known = sessionId === undefined ? undefined : open.get(sessionId);
    if (known !== undefined) return known.handleRequest(request, res, body);
    if (!isInitializeRequest(body)) {
      return send(res, 404, {}, rpcError(null, -32600, 'There is no such session of yours. Initialize one.'));
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized(id) {
        open.set(id, transport);
        sessions.opened(id, token);
      },
      onsessionclosed(id) {
        open.delete(id);
        sessions.closed(id);
      },
    });
    await buildServer().connect(transport as never);
    await transport.handleRequest(request, res, body);
  }

  /** The server of one session. The guard has decided already whether a call may happen. */
  function buildServer(): McpServer {
    const server = new McpServer({ name: 'example', version: '1.0.0' });
    const toolbox = createToolbox(server, policy, workspaces);
    addApphub(toolbox, issuer);
    addStableBaseline(toolbox);
    addTinyCommand(toolbox);
    return server;
  }

  const server = createServer((req, res) => {
    serve(req, res).catch((error) => {
      console.error(error);
      if (!res.headersSent) send(res, 500, {}, rpcError(null, -32603, 'Something went wrong here.'));
    });
  });
  await new Promise<void>((resolve) => server.listen(settings.port, resolve));
  return {
    server,
    workspaces,
    async stop() {
      verifier.close();
      for (const transport of open.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (import.meta.main) {
  const { env } = process;
  const port = Number(env.PORT ?? 4000);
  const resource = env.RESOURCE ?? `http://localhost:${port}/mcp`;
  const issuer = env.ISSUER ?? 'http://localhost:3000';
  const name = env.NAME ?? NAME;
  const given = { clientId: env.CLIENT_ID ?? '', clientSecret: env.CLIENT_SECRET ?? '' };
  const own = given.clientId === '' ? registerMyself(resource, name) : given;
  const { stop } = await startMcpServer({ issuer, resource, port, name, ...own });
  console.log(`An MCP server at ${resource}, for keys of ${issuer}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop());
}
