import { createServer, type RequestListener, type Server } from 'node:http';
import type { Config } from '../../config/load.ts';
import { type Connections, serveOneAtATime, TIMEOUTS } from './connections.ts';

const CONNECTIONS_MAX = 10_000;

/** The listener for everybody, with the timeouts and caps that Node leaves open. */
export function createPublicServer(
  handler: RequestListener,
  config: Config,
): { server: Server; connections: Connections } {
  const server = createServer({
    ...TIMEOUTS,
    keepAliveTimeout: config.keepAliveMs,
    maxHeaderSize: 16 * 1024,
  });
  const connections = serveOneAtATime(server, handler);
  server.maxConnections = CONNECTIONS_MAX;
  server.maxHeadersCount = 0; // none are dropped in silence: transport.ts counts them and refuses
  server.on('clientError', refuseBadRequest);
  return { server, connections };
}

const TRANSPORT_REFUSALS: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** What Node's parser refuses never reaches a route; it is answered here and the connection closed (S-67). */
function refuseBadRequest(error: NodeJS.ErrnoException, socket: import('node:stream').Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const status = TRANSPORT_REFUSALS[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
