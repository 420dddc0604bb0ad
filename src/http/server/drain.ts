import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Connections } from './connections.ts';

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
 * Makes the drain of a server, which ends it without losing a request.
 *
 * Node's own `close()` ends every idle connection at once. A client that sends its next request at that moment gets a reset, and
 * cannot know whether a POST was carried out (RFC 9112 section 9.3.1). So the port is closed alone; a connection that is kept is
 * answered one more request, which says `Connection: close` (the handler's part), and ends with it.
 *
 * @param connections those of the server, from its start on
 * @returns the drain: resolves when no connection is left
 */
export function createDrain(server: Server, connections: Connections): (times: DrainTimes) => Promise<void> {
  let accepted = 0;
  server.on('connection', () => {
    accepted += 1;
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
    for (const [socket, { isBusy, bytesRead }] of connections) {
      if (!isBusy && socket.bytesRead === bytesRead) socket.destroySoon();
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
