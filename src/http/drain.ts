import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';

/** How long a drain waits, in milliseconds. */
export interface DrainTimes {
  /** How long a connection without a request is kept for one more. */
  idleMs: number;
  /** When whatever is left is cut off. */
  deadlineMs: number;
}

export const DRAIN_TIMES: DrainTimes = { idleMs: 2000, deadlineMs: 10_000 };

const LOOK_MS = 50;

/**
 * Watches the connections of a server from its start on, so that it can be drained without losing a request.
 *
 * Node's own `close()` ends every idle connection at once. A client that sends its next request at that moment gets a reset, and
 * cannot know whether a POST was carried out (RFC 9112 section 9.3.1). So the port is closed alone; a connection that is kept is
 * answered one more request, which says `Connection: close` (the handler's part), and ends with it.
 *
 * @returns the drain: resolves when no connection is left
 */
export function watchConnections(server: Server): (times: DrainTimes) => Promise<void> {
  /** Requests without a whole answer, and what had been read when the last one got its own: more is the next request. */
  const connections = new Map<Socket, { requests: number; bytesRead: number }>();

  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted += 1;
    connections.set(socket, { requests: 0, bytesRead: 0 });
    socket.once('close', () => connections.delete(socket));
  });
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(socket);
    if (connection === undefined) return;
    connection.requests += 1;
    response.once('close', () => {
      connection.requests -= 1;
      connection.bytesRead = socket.bytesRead;
    });
  });

  /** Closing the port resets what the system has taken and Node has not: Node takes one connection a turn, so turn by turn. */
  async function acceptQueued(): Promise<void> {
    const turnsMax = 2000;
    let before: number;
    let turns = 0;
    do {
      before = accepted;
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    } while (turns < 2 || (accepted > before && turns < turnsMax));
  }

  function closeIdle(): void {
    for (const [socket, { requests, bytesRead }] of connections) {
      if (requests === 0 && socket.bytesRead === bytesRead) socket.destroySoon();
    }
  }

  return async function drain({ idleMs, deadlineMs }: DrainTimes): Promise<void> {
    await acceptQueued();
    const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
    let look: NodeJS.Timeout | undefined;
    const idle = setTimeout(() => {
      closeIdle();
      look = setInterval(closeIdle, LOOK_MS);
    }, idleMs);
    const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs);
    await closed;
    clearTimeout(idle);
    clearInterval(look);
    clearTimeout(deadline);
    server.close(); // what Node itself runs beside a server ends with it
  };
}
