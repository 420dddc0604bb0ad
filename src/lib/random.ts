import { randomFillSync } from 'node:crypto';

/** Gives `size` unpredictable bytes. */
export type Random = (size: number) => Buffer;

// One system call fills a pool that many small draws share: registration draws six secrets and ids.
// The drawn bytes are wiped from the pool, so that it never holds a secret that was given out.
const pool = Buffer.allocUnsafeSlow(8192);
let used = pool.length;

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
