import { setTimeout as sleep } from 'node:timers/promises';

/** The longest that one transaction of a background job may hold the writer, ms. */
export const BATCH_MS = 20;
const ROWS_FIRST = 16;
const ROWS_MAX = 1024;

/**
 * Computes the rows of the next batch: half as many if the last batch took more than half of BATCH_MS, so that a slow
 * moment does not exceed it; twice as many if the last batch took less than a fifth of BATCH_MS.
 *
 * @param rows of the last batch
 * @param tookMs how long the last batch held the writer
 */
export function nextRows(rows: number, tookMs: number): number {
  if (tookMs > BATCH_MS / 2) return Math.max(1, Math.floor(rows / 2));
  if (tookMs < BATCH_MS / 5) return Math.min(ROWS_MAX, rows * 2);
  return rows;
}

/** The transactions of one background job, each with as many rows as BATCH_MS allows. */
export interface Batches<Context> {
  /**
   * Runs the next batch, and then pauses for as long as it took, so that others can write.
   *
   * @param work processes at most `rows` rows, and returns how many it processed
   * @returns that number, and `isLast`: it was below the maximum, so that no rows are left
   */
  next(
    work: (context: Context, rows: number) => Promise<number>,
  ): Promise<{ count: number; isLast: boolean }>;
}

/**
 * Creates the batches of one background job.
 *
 * @param transact runs one batch in a transaction, by Db.tx or useCase()
 * @param stopwatch a monotonic clock, ms
 */
export function createBatches<Context>(
  transact: (act: (context: Context) => Promise<number>) => Promise<number>,
  stopwatch: () => number = () => performance.now(),
): Batches<Context> {
  let rows = ROWS_FIRST;
  return {
    async next(work) {
      const rowsMax = rows;
      let tookMs = 0;
      const count = await transact(async (context) => {
        const startedAt = stopwatch();
        const done = await work(context, rowsMax);
        tookMs = stopwatch() - startedAt;
        return done;
      });
      rows = nextRows(rowsMax, tookMs);
      await sleep(tookMs);
      return { count, isLast: count < rowsMax };
    },
  };
}
