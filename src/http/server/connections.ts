import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { parseAddress } from '../../lib/address.ts';

/**
 * Bounds what one client can make the server hold: open connections, pipelined requests (RFC 9112 section 9.3.2), and
 * responses that the client does not read (S-63, docs/adr/0008-http.md).
 */

/**
 * How long a client may take to send a request, in ms. Node's defaults are 60 s for the headers and 300 s for the
 * request.
 */
export const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 1000 };

/** How long a client may leave buffered data unread. */
const UNREAD_MAX_MS = 15_000;
const UNREAD_CHECK_MS = 1000;
/** How many bytes are parsed in one step. Node turns a request of a few bytes into objects of kilobytes. */
const SLICE_BYTES = 512;

/**
 * How many pipelined requests start in one turn of the event loop. Node accepts one connection per turn, so a long turn
 * delays new connections.
 */
const PIPELINED_PER_TURN = 2;

/** How many bytes may wait unparsed: one or two reads of the socket. */
const UNPARSED_MAX = 256 * 1024;

interface Connection {
  isBusy: boolean;
  /** `socket.bytesRead` when the last response was complete; a larger number means that the next request has begun. */
  bytesRead: number;
  /** Parsed requests that wait for the response before them. */
  pipelined: [IncomingMessage, ServerResponse][];
  /** Bytes received after the pipelined requests. */
  unparsed: Buffer | undefined;
  /** Node's own 'data' listener, which feeds the HTTP parser. */
  feedParser: (chunk: Buffer) => void;
}

/** The open connections of a server. */
export type Connections = ReadonlyMap<Socket, Pick<Connection, 'isBusy' | 'bytesRead'>>;

/**
 * Handles the requests of each connection one after the other: the next one starts when the response before it is sent.
 * While a request waits, the server parses and reads nothing more from the connection. Further pipelined requests (RFC
 * 9112 section 9.3.2) stay on the client's side.
 *
 * @returns the open connections, for drain.ts
 */
export function serializeRequests(server: Server, handle: RequestListener): Connections {
  const connections = new Map<Socket, Connection>();
  /** Connections whose next request may start, in the order in which they became ready. */
  const ready: [Socket, Connection][] = [];
  let isScheduled = false;

  server.on('connection', (socket: Socket) => {
    const [feedParser] = socket.listeners('data') as Connection['feedParser'][];
    socket.removeAllListeners('data');
    const connection = {
      isBusy: false,
      bytesRead: 0,
      pipelined: [],
      unparsed: undefined,
      feedParser: feedParser!.bind(socket),
    };
    connections.set(socket, connection);
    socket.once('close', () => connections.delete(socket));
    socket.on('data', (chunk: Buffer) => parse(socket, connection, chunk));
  });

  server.on('request', (request, response) => {
    const connection = connections.get(request.socket);
    if (connection === undefined) return; // the connection has closed
    if (connection.isBusy) connection.pipelined.push([request, response]);
    else handleNext(request.socket, connection, request, response);
  });

  function handleNext(
    socket: Socket,
    connection: Connection,
    ...[request, response]: Parameters<RequestListener>
  ): void {
    connection.isBusy = true;
    response.once('close', () => {
      connection.bytesRead = socket.bytesRead;
      if (connection.pipelined.length === 0) {
        connection.isBusy = false;
        return;
      }
      ready.push([socket, connection]);
      if (!isScheduled) setImmediate(runReady);
      isScheduled = true;
    });
    handle(request, response);
  }

  function runReady(): void {
    for (const [socket, connection] of ready.splice(0, PIPELINED_PER_TURN)) {
      const next = socket.destroyed ? undefined : connection.pipelined.shift();
      if (next === undefined) continue;
      handleNext(socket, connection, ...(next as Parameters<RequestListener>));
      if (connection.pipelined.length === 0) resumeReading(socket, connection);
    }
    isScheduled = ready.length > 0;
    if (isScheduled) setImmediate(runReady);
  }

  return connections;
}

/** Parses the bytes already received, then resumes reading the socket. */
function resumeReading(socket: Socket, connection: Connection): void {
  const { unparsed } = connection;
  connection.unparsed = undefined;
  if (unparsed !== undefined) parse(socket, connection, unparsed);
  if (connection.unparsed === undefined) socket.resume();
}

function parse(socket: Socket, connection: Connection, chunk: Buffer): void {
  // Node itself resumes the socket to read the rest of a request body, so data can arrive while bytes wait unparsed.
  let rest = connection.unparsed === undefined ? chunk : Buffer.concat([connection.unparsed, chunk]);
  while (rest.length > 0 && connection.pipelined.length === 0) {
    if (socket.destroyed || socket.writableEnded) return; // no response can follow
    connection.feedParser(rest.length <= SLICE_BYTES ? rest : rest.subarray(0, SLICE_BYTES));
    rest = rest.subarray(SLICE_BYTES);
  }
  connection.unparsed = rest.length === 0 ? undefined : rest;
  if (rest.length > UNPARSED_MAX) socket.destroy();
  else if (rest.length > 0) socket.pause();
}

/**
 * Closes connections whose client reads nothing for 15 seconds although data is buffered for it, and new connections
 * above the limit of their client address.
 *
 * @param limits.perAddress how many connections one address may have; undefined behind a proxy, whose address they all
 * have
 * @param limits.now a monotonic clock in ms
 * @param limits.onClosed receives the reason of each close
 */
export function limitConnections(
  server: Server,
  limits: { perAddress: number | undefined; now: () => number; onClosed: (reason: string) => void },
): void {
  const { perAddress = Number.POSITIVE_INFINITY, now, onClosed } = limits;
  const open = new Map<string, number>();
  const unread = new Map<Socket, { bytes: number; since: number }>();

  server.on('connection', (socket: Socket) => {
    const address = parseAddress(socket.remoteAddress).limitKey;
    const count = (open.get(address) ?? 0) + 1;
    if (count > perAddress) {
      onClosed('too many connections from one address');
      return void socket.destroy();
    }
    open.set(address, count);
    unread.set(socket, { bytes: 0, since: now() });
    socket.once('close', () => {
      unread.delete(socket);
      const left = open.get(address)! - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });

  const timer = setInterval(() => {
    const time = now();
    for (const [socket, seen] of unread) {
      const bytes = unsentBytes(socket);
      // Only a decrease shows that the client reads; the server adds to the buffer by itself.
      if (bytes === 0 || bytes < seen.bytes) seen.since = time;
      seen.bytes = bytes;
      if (time - seen.since < UNREAD_MAX_MS) continue;
      onClosed('the client reads nothing of what waits for it');
      socket.destroy();
    }
  }, UNREAD_CHECK_MS);
  timer.unref();
  server.once('close', () => clearInterval(timer));
}

/**
 * Counts the bytes that the kernel has not accepted. For a response written in one piece, only the handle knows what
 * remains.
 */
function unsentBytes(socket: Socket & { _handle?: { writeQueueSize?: number } | null }): number {
  return socket.writableLength + (socket._handle?.writeQueueSize ?? 0);
}
