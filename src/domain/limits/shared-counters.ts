import type { Deps } from '../../deps.ts';
import { type Budget, Failure } from '../../errors.ts';
import { incrementCounters, refundCounter } from '../../store/counters.ts';
import type { Db, Tx } from '../../store/engine/db.ts';
import type { LimitCounter } from './limits.ts';
import { assertWithinLimit, consumeLimits, counterKeyOf, rateOf, refundLimits } from './rate-limiter.ts';

/** Counters that requests of different callers share, for one request. */
export interface SharedCounters {
  /**
   * Consumes one from each counter.
   *
   * @throws Failure as consumeLimits(), if one is exhausted
   */
  consume(): Promise<Budget[]>;
  /** Refunds what use() consumed, for a request that turned out to cost nothing. */
  refund(): Promise<void>;
}

/**
 * Runs a transaction that consumes counters which requests of different callers share. On PostgreSQL such a counter is
 * one row: each request would wait until the transaction that locked it commits. So the counters are consumed
 * beforehand, in a brief transaction for all requests that wait at that moment. They are refunded if the request's own
 * transaction does not use them or rolls back. A limit is never exceeded. If the process dies in between, a counter
 * stays one too high until its window ends. SQLite has one writer, so no request waits for a row, and a second
 * transaction would only cost a commit (docs/adr/0003-two-engines-one-sql.md).
 *
 * @param work consumes by `shared.use()` in place of consumeLimits(); it may run again, see Db.tx
 */
export function withSharedCounters<Result>(
  deps: Deps,
  counters: readonly LimitCounter[],
  work: (tx: Tx, shared: SharedCounters) => Promise<Result>,
): Promise<Result> {
  if (deps.db.engine === 'postgres' && counters.length > 0) return consumeBeforehand(deps, counters, work);
  return deps.db.tx((tx) =>
    work(tx, {
      consume: () => consumeLimits({ tx, deps, now: deps.clock() }, counters),
      refund: () => refundLimits(tx, counters),
    }),
  );
}

async function consumeBeforehand<Result>(
  deps: Deps,
  counters: readonly LimitCounter[],
  work: (tx: Tx, shared: SharedCounters) => Promise<Result>,
): Promise<Result> {
  const consumed = await consumeInBatch(deps, counters);
  let isUsed = false;
  let isReadyToCommit = false;
  try {
    return await deps.db.tx(async (tx) => {
      isUsed = false;
      isReadyToCommit = false;
      const result = await work(tx, {
        async consume() {
          if (consumed instanceof Failure) throw consumed;
          isUsed = true;
          return consumed.map(({ budget }) => budget);
        },
        async refund() {
          isUsed = false;
        },
      });
      isReadyToCommit = true;
      return result;
    });
  } catch (error) {
    // A commit that failed may have taken effect all the same. So nothing is refunded then.
    if (!isReadyToCommit) isUsed = false;
    throw error;
  } finally {
    if (!isUsed && !(consumed instanceof Failure)) await refundAll(deps, counters, consumed);
  }
}

/** One unit that a request consumed from a counter. */
interface Consumed {
  budget: Budget;
  /** Epoch ms, the end of the counter's window: a refund must not reach the next window. */
  endsAt: number;
}

async function refundAll(
  deps: Pick<Deps, 'db' | 'log'>,
  counters: readonly LimitCounter[],
  consumed: readonly Consumed[],
): Promise<void> {
  await deps.db
    .tx(async (tx) => {
      for (const [index, limit] of counters.entries()) {
        await refundCounter(tx, counterKeyOf(limit), consumed[index]!.endsAt, 1);
      }
    }, 'brief')
    .catch((error) => deps.log.warn({ err: error }, 'what a refused request took could not be given back'));
}

interface QueuedRequest {
  counters: readonly LimitCounter[];
  resolve(outcome: Consumed[] | Failure): void;
  reject(error: unknown): void;
}

/** Per database and names of counters: the requests that wait for the current transaction. */
const queues = new WeakMap<Db, Map<string, QueuedRequest[]>>();
const BATCH_MAX = 200;

/**
 * Consumes one from each counter, or from none if one is exhausted. Returns the failure then, for use() to throw within
 * the request's own transaction.
 */
function consumeInBatch(
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  counters: readonly LimitCounter[],
): Promise<Consumed[] | Failure> {
  const queuesByNames = queues.get(deps.db) ?? new Map<string, QueuedRequest[]>();
  queues.set(deps.db, queuesByNames);
  const names = counters.map(({ name }) => name).join(' ');
  return new Promise((resolve, reject) => {
    const request = { counters, resolve, reject };
    const waiting = queuesByNames.get(names);
    if (waiting !== undefined) return void waiting.push(request);
    const queue = [request];
    queuesByNames.set(names, queue);
    void drainQueue(deps, queue, () => queuesByNames.delete(names));
  });
}

/** @param onEmpty called synchronously when the queue is seen to be empty: the next request starts a new queue */
async function drainQueue(
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  queue: QueuedRequest[],
  onEmpty: () => void,
): Promise<void> {
  while (queue.length > 0) {
    const batch = queue.splice(0, BATCH_MAX);
    try {
      const outcomes = await deps.db.tx((tx) => consumeForAll(tx, deps, batch), 'brief');
      for (const [index, request] of batch.entries()) request.resolve(outcomes[index]!);
    } catch (error) {
      for (const request of batch) request.reject(error);
    }
  }
  onEmpty();
}

/**
 * Consumes the counters of a batch. All its requests have counters of the same names in the same order, and those of
 * one name are sorted by key. So every process locks the rows in the same order.
 */
async function consumeForAll(
  tx: Tx,
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  batch: readonly QueuedRequest[],
): Promise<(Consumed[] | Failure)[]> {
  const now = deps.clock();
  const outcomes: (Consumed[] | Failure)[] = batch.map(() => []);
  for (let position = 0; position < batch[0]!.counters.length; position += 1) {
    const notRefused = batch.keys().filter((index) => Array.isArray(outcomes[index]));
    const byCounter = Map.groupBy(notRefused, (index) => counterKeyOf(batch[index]!.counters[position]!));
    for (const [key, indexes] of [...byCounter].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const limit = batch[indexes[0]!]!.counters[position]!;
      const { max, windowSeconds } = rateOf(deps.config.limits, limit);
      const { taken, used, endsAt } = await incrementCounters(
        tx,
        key,
        indexes.length,
        max,
        windowSeconds * 1000,
        now,
      );
      for (const [order, index] of indexes.entries()) {
        const won = order < taken;
        const counter = { won, used: won ? used - taken + order + 1 : used, endsAt };
        const consumed = outcomes[index] as Consumed[];
        try {
          consumed.push({ budget: assertWithinLimit(deps, limit, counter, now), endsAt });
        } catch (failure) {
          outcomes[index] = failure as Failure;
          for (const [earlier, { endsAt: end }] of consumed.entries()) {
            await refundCounter(tx, counterKeyOf(batch[index]!.counters[earlier]!), end, 1);
          }
        }
      }
    }
  }
  return outcomes;
}
