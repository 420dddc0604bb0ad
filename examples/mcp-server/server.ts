import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { createPolicy, createVerifier, protectedResourceMetadata } from 'vouchsafe/resource-server';
import { createMcpGuard, createSessionOwners, rpcError } from 'vouchsafe/resource-server/mcp';
import { type App, buildTools, RULES, SCOPES } from './tools.ts';

/**
 * An MCP server on the official SDK, over Streamable HTTP, that any agent with a key of Vouchsafe can use:
 * `npm start` in one terminal, `npm run example:mcp` in another.
 */
export interface Settings {
  issuer: string;
  /** The URL of this MCP server, as agents know it. */
  resource: string;
  clientId: string;
  clientSecret: string;
  port: number;
}

export async function startMcpServer(settings: Settings): Promise<{ server: Server; stop(): Promise<void> }> {
  const { resource, issuer } = settings;
  const scopes = Object.keys(SCOPES);
  const metadata = protectedResourceMetadata({ resource, issuer, scopes, name: 'Example MCP server' });
  const verifier = createVerifier({ ...settings, onError: (error) => console.error('vouchsafe:', error) });
  const apps = new Map<string, App>();
  const policy = createPolicy<App>({
    scopes: SCOPES,
    tools: RULES,
    // Whoever made an app may do everything with it, all others may look.
    resolveResource: (_, args) => apps.get(String(args.app)),
    effectiveScopes: (subject, app) => ({
      canManage: app.owner === subject,
      scopes: app.owner === subject ? ['admin'] : ['read'],
    }),
  });
  const sessions = createSessionOwners();
  const implies = { admin: ['write'], write: ['read'] };
  // An app asks its human once for what it usually needs, and `admin` when it needs that.
  const challengeScopes = ['read', 'write'];
  const guard = createMcpGuard({ verifier, policy, sessions, scopes: ['read'], challengeScopes, implies });
  const open = new Map<string, { transport: StreamableHTTPServerTransport; subject: string }>();

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = req.url?.split('?')[0] ?? '';
    if (metadata.paths.includes(path)) {
      return send(res, 200, { 'Access-Control-Allow-Origin': '*' }, metadata.document);
    }
    if (path !== new URL(resource).pathname) return send(res, 404, {}, { error: 'not_found' });
    const body = req.method === 'POST' ? await readJson(req) : undefined;
    const decision = await guard((name) => req.headersDistinct[name], body, {
      method: req.method!,
      url: req.url!,
    });
    if (!('token' in decision)) return send(res, decision.status, decision.headers, decision.body);

    const { token, sessionId } = decision;
    const known = sessionId === undefined ? undefined : open.get(sessionId);
    if (known !== undefined) {
      known.subject = token.subject; // another one once its human has claimed the agent
      return known.transport.handleRequest(req, res, body);
    }
    if (!isInitializeRequest(body)) {
      return send(res, 404, {}, rpcError(null, -32600, 'There is no such session of yours. Initialize one.'));
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized(id) {
        open.set(id, session);
        sessions.opened(id, token);
      },
      onsessionclosed(id) {
        open.delete(id);
        sessions.closed(id);
      },
    });
    const session = { transport, subject: token.subject };
    // What a session's tools do, they do as its agent; nobody else gets into it.
    await buildTools(apps, policy, () => session.subject).connect(transport as never);
    await transport.handleRequest(req, res, body);
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
    async stop() {
      verifier.close();
      for (const { transport } of open.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function send(res: ServerResponse, status: number, headers: Record<string, string>, body: object): void {
  res.writeHead(status, { ...headers, 'Content-Type': 'application/json; charset=utf-8' });
  res.end(JSON.stringify(body));
}

const BODY_BYTES_MAX = 1_000_000;

/** The body as JSON; what is none is no message, which the guard then says. */
async function readJson(req: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of req.setEncoding('utf8')) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** On a developer's machine it is made known to the service beside it; elsewhere an operator does that once. */
function registerMyself(resource: string): { clientId: string; clientSecret: string } {
  const command = [
    'src/cli.ts',
    'resource',
    'add',
    resource,
    '--name',
    'Example MCP server',
    '--rotate',
    '--json',
  ];
  const { client_id, client_secret } = JSON.parse(
    execFileSync(process.execPath, command, { encoding: 'utf8' }),
  );
  return { clientId: client_id, clientSecret: client_secret };
}

if (import.meta.main) {
  const { env } = process;
  const port = Number(env.PORT ?? 4000);
  const resource = env.RESOURCE ?? `http://localhost:${port}/mcp`;
  const issuer = env.ISSUER ?? 'http://localhost:3000';
  const given = { clientId: env.CLIENT_ID ?? '', clientSecret: env.CLIENT_SECRET ?? '' };
  delete env.PORT; // it is this server's, and the command below would take it for the service's
  const own = given.clientId === '' ? registerMyself(resource) : given;
  const { stop } = await startMcpServer({ issuer, resource, port, ...own });
  console.log(`An MCP server at ${resource}, for keys of ${issuer}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop());
}
