import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Connections } from './connections.ts';

/** How long a drain waits, in milliseconds. */
export interface DrainTimes {
  /** How long an idle connection stays open for one more request. */
  idleMs: number;
  /** After this time the drain closes all remaining connections. */
  deadlineMs: number;
}

/** The default times. */
export const DRAIN_TIMES: DrainTimes = { idleMs: 2000, deadlineMs: 10_000 };

const IDLE_CHECK_MS = 50;

/**
 * Creates the drain of a server, which closes the server without losing a request (R-19, docs/adr/0008-http.md).
 *
 * Node's own `close()` closes every idle connection at once. A client that sends a POST at that moment gets a reset,
 * and cannot know whether the server processed it (RFC 9112 section 9.3.1). So the drain closes only the port. Each
 * open connection may send one more request; the handler answers it with `Connection: close`, which ends the
 * connection.
 *
 * @param connections the open connections of the server, tracked since its start
 * @returns a function that drains the server and resolves when no connection is left
 */
export function createDrain(server: Server, connections: Connections): (times: DrainTimes) => Promise<void> {
  let accepted = 0;
  server.on('connection', () => {
    accepted += 1;
  });

  /**
   * Accepts all connections in the kernel's queue, which closing the port would reset. Node accepts one connection per
   * turn of the event loop.
   */
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
    let idleCheck: NodeJS.Timeout | undefined;
    const idle = setTimeout(() => {
      closeIdle();
      idleCheck = setInterval(closeIdle, IDLE_CHECK_MS);
    }, idleMs);
    const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs);
    await closed;
    clearTimeout(idle);
    clearInterval(idleCheck);
    clearTimeout(deadline);
    server.close(); // also stops the timers that Node keeps for a server
  };
}
