import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { parseAddress } from '../../lib/address.ts';

/**
 * What one client can make the server hold, whatever framework answers: connections, requests that it sends before it has
 * read the answers to earlier ones, and answers that it does not read.
 */

/** How long a client may take to send a request: Node's own limits are minutes. */
export const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 15_000, connectionsCheckingInterval: 1000 };

/** So long may a client read nothing of what waits for it. */
const UNREAD_MS = 15_000;
const LOOK_MS = 1000;
/** What is parsed in one step: requests that arrive together become objects together, kilobytes for a few bytes each. */
const SLICE_BYTES = 512;
/**
 * So many requests that were sent ahead begin in one turn of the event loop. Node accepts one connection a turn, so turns are kept
 * short for those who wait to be let in.
 */
const AHEAD_PER_TURN = 2;
/** What may wait unparsed: a read or two. */
const UNPARSED_MAX = 256 * 1024;

interface Connection {
  isBusy: boolean;
  /** What had been read when the last answer was whole: more is the next request. */
  bytesRead: number;
  waiting: [IncomingMessage, ServerResponse][];
  /** What has arrived behind requests that wait. */
  unparsed: Buffer | undefined;
  /** Node's own listener, which parses. */
  parse: (chunk: Buffer) => void;
}

/** The connections of a server that are open. */
export type Connections = ReadonlyMap<Socket, Pick<Connection, 'isBusy' | 'bytesRead'>>;

/**
 * Has the requests of each connection handled one after the other: the next when the answer before it has left. While one waits,
 * nothing more is parsed or read from the connection, so that what a client sends ahead (RFC 9112 section 9.3.2) waits on its side.
 *
 * @returns the connections that are open, for drain.ts
 */
export function serveOneAtATime(server: Server, handle: RequestListener): Connections {
  const connections = new Map<Socket, Connection>();
  /** Connections whose next request may begin, the longest waiting first. */
  const ready: [Socket, Connection][] = [];
  let isScheduled = false;

  server.on('connection', (socket: Socket) => {
    const [parse] = socket.listeners('data') as Connection['parse'][];
    socket.removeAllListeners('data');
    const connection = {
      isBusy: false,
      bytesRead: 0,
      waiting: [],
      unparsed: undefined,
      parse: parse!.bind(socket),
    };
    connections.set(socket, connection);
    socket.once('close', () => connections.delete(socket));
    socket.on('data', (chunk: Buffer) => take(socket, connection, chunk));
  });

  server.on('request', (request, response) => {
    const connection = connections.get(request.socket);
    if (connection === undefined) return; // it is closed already
    if (connection.isBusy) connection.waiting.push([request, response]);
    else run(request.socket, connection, request, response);
  });

  function run(
    socket: Socket,
    connection: Connection,
    ...[request, response]: Parameters<RequestListener>
  ): void {
    connection.isBusy = true;
    response.once('close', () => {
      connection.bytesRead = socket.bytesRead;
      if (connection.waiting.length === 0) {
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
    for (const [socket, connection] of ready.splice(0, AHEAD_PER_TURN)) {
      const next = socket.destroyed ? undefined : connection.waiting.shift();
      if (next === undefined) continue;
      run(socket, connection, ...(next as Parameters<RequestListener>));
      if (connection.waiting.length === 0) readOn(socket, connection);
    }
    isScheduled = ready.length > 0;
    if (isScheduled) setImmediate(runReady);
  }

  return connections;
}

/** Goes on with what has arrived, and then with what is still to come. */
function readOn(socket: Socket, connection: Connection): void {
  const { unparsed } = connection;
  connection.unparsed = undefined;
  if (unparsed !== undefined) take(socket, connection, unparsed);
  if (connection.unparsed === undefined) socket.resume();
}

function take(socket: Socket, connection: Connection, chunk: Buffer): void {
  // Node reads on by itself for the body of a request that it thinks is still coming.
  let rest = connection.unparsed === undefined ? chunk : Buffer.concat([connection.unparsed, chunk]);
  while (rest.length > 0 && connection.waiting.length === 0) {
    if (socket.destroyed || socket.writableEnded) return; // the last answer was given
    connection.parse(rest.length <= SLICE_BYTES ? rest : rest.subarray(0, SLICE_BYTES));
    rest = rest.subarray(SLICE_BYTES);
  }
  connection.unparsed = rest.length === 0 ? undefined : rest;
  if (rest.length > UNPARSED_MAX) socket.destroy();
  else if (rest.length > 0) socket.pause();
}

/**
 * Closes the connections of clients that read nothing for 15 seconds although something waits for them, and, past a number for one
 * address, new ones.
 *
 * @param limits.perAddress undefined behind a proxy, from whose address all of them come
 * @param limits.now a clock in ms that does not step back
 * @param limits.onClosed is told why one was closed
 */
export function boundConnections(
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

  const looking = setInterval(() => {
    const time = now();
    for (const [socket, seen] of unread) {
      const bytes = unsentBytes(socket);
      // What is added shows no reader, what has left does.
      if (bytes === 0 || bytes < seen.bytes) seen.since = time;
      seen.bytes = bytes;
      if (time - seen.since < UNREAD_MS) continue;
      onClosed('the client reads nothing of what waits for it');
      socket.destroy();
    }
  }, LOOK_MS);
  looking.unref();
  server.once('close', () => clearInterval(looking));
}

/** What the system has not yet taken. Of a large answer that is one piece, only the handle tells how far it has come. */
function unsentBytes(socket: Socket & { _handle?: { writeQueueSize?: number } | null }): number {
  return socket.writableLength + (socket._handle?.writeQueueSize ?? 0);
}
