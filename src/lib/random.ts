import { randomFillSync } from 'node:crypto';

/** Returns `size` unpredictable bytes. */
export type Random = (size: number) => Buffer;

// One system call fills a pool for many small draws: a registration draws six secrets and ids.
// Drawn bytes are wiped from the pool, so that it never holds an issued secret.
const pool = Buffer.allocUnsafeSlow(8192);
let used = pool.length;

/** Draws from the random number generator of the operating system. */
export const systemRandom: Random = (size) => {
  if (size > pool.length) return randomFillSync(Buffer.allocUnsafe(size));
  if (used + size > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const drawn = Buffer.from(pool.subarray(used, used + size));
  pool.fill(0, used, used + size);
  used += size;
  return drawn;
};
