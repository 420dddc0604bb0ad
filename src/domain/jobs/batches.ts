import { setTimeout as sleep } from 'node:timers/promises';

/** Nobody waits longer than this for a background job: so long may one of its transactions keep the writer (ms). */
export const BATCH_MS = 20;
const ROWS_FIRST = 16;
const ROWS_MAX = 1024;

/**
 * How many rows the next batch takes: half as many where the last one took more than half of what it may, so that the next
 * slow moment does not break the bound; twice as many where twice as many would still be well within it.
 *
 * @param tookMs how long so many rows kept the writer
 */
export function nextRows(rows: number, tookMs: number): number {
  if (tookMs > BATCH_MS / 2) return Math.max(1, Math.floor(rows / 2));
  if (tookMs < BATCH_MS / 5) return Math.min(ROWS_MAX, rows * 2);
  return rows;
}

/** Transactions of one background job, each of as many rows as BATCH_MS allows. */
export interface Batches<Context> {
  /**
   * Runs the next one, and leaves the writer to others for as long as it took.
   *
   * @param work is told how many rows to work on at most; returns on how many it did
   * @returns that number, and whether it was less than the most: then nothing is left
   */
  next(
    work: (context: Context, rows: number) => Promise<number>,
  ): Promise<{ count: number; isLast: boolean }>;
}

/**
 * @param transact runs each of them in a transaction, by Db.tx or useCase()
 * @param stopwatch milliseconds by a clock that never steps
 */
export function createBatches<Context>(
  transact: (act: (context: Context) => Promise<number>) => Promise<number>,
  stopwatch: () => number = () => performance.now(),
): Batches<Context> {
  let rows = ROWS_FIRST;
  return {
    async next(work) {
      const asked = rows;
      let tookMs = 0;
      const count = await transact(async (context) => {
        const begunAt = stopwatch();
        const done = await work(context, asked);
        tookMs = stopwatch() - begunAt;
        return done;
      });
      rows = nextRows(asked, tookMs);
      await sleep(tookMs);
      return { count, isLast: count < asked };
    },
  };
}
