import { createServer, type RequestListener, type Server } from 'node:http';
import type { Config } from '../../config/load.ts';
import { type Connections, serializeRequests, TIMEOUTS } from './connections.ts';

const CONNECTIONS_MAX = 10_000;

/**
 * Creates the public HTTP server, with limits on headers, connections and time.
 *
 * @returns the server, which does not listen yet, and its open connections
 */
export function createPublicServer(
  handler: RequestListener,
  config: Config,
): { server: Server; connections: Connections } {
  const server = createServer({
    ...TIMEOUTS,
    keepAliveTimeout: config.keepAliveMs,
    maxHeaderSize: 16 * 1024,
  });
  const connections = serializeRequests(server, handler);
  server.maxConnections = CONNECTIONS_MAX;
  server.maxHeadersCount = 0; // Node would drop headers silently; transport.ts counts and refuses them
  server.on('clientError', answerParserError);
  return { server, connections };
}

const STATUS_LINES: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** Answers a request that Node's HTTP parser refuses, which reaches no route, and closes the connection (S-67). */
function answerParserError(error: NodeJS.ErrnoException, socket: import('node:stream').Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const status = STATUS_LINES[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
