import { createServer } from 'node:net';

/**
 * A port of this machine that nobody listens on now. It is below those that connections get by themselves (from 32768 on Linux), so
 * that none of another test takes it before a server does, and not the one that another process of the run was just given.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + (taken++ % COUNT);
    if (port !== BAD_PORT && (await isFree(port))) return port;
  }
}

const FIRST = 10_000;
const COUNT = 22_000;
/** The only one of these that `fetch` and browsers refuse (https://fetch.spec.whatwg.org/#port-blocking). */
const BAD_PORT = 10_080;
/** Processes begin apart. */
let taken = (process.pid * 131) % COUNT;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
      .once('error', () => resolve(false))
      .listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
