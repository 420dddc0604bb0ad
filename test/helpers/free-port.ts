import { createServer } from 'node:net';

/**
 * A port of this machine that nobody listens on now. It is below those that connections get by themselves (from 32768 on Linux), so
 * that none of another test takes it before a server does, and not the one that another process of the run was just given.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    next = FIRST + ((next - FIRST + 1) % COUNT);
    if (await isFree(next)) return next;
  }
}

const FIRST = 10_000;
const COUNT = 22_000;
/** Processes begin apart. */
let next = FIRST + ((process.pid * 131) % COUNT);

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
      .once('error', () => resolve(false))
      .listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
