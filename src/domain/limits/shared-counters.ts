import type { Deps } from '../../deps.ts';
import { type Budget, Failure } from '../../errors.ts';
import { incrementCounters, refundCounter } from '../../store/counters.ts';
import type { Db, Tx } from '../../store/engine/db.ts';
import type { LimitCounter } from './limits.ts';
import { consumeLimits, counterOf, rateOf, refundLimits, settleLimit } from './rate-limiter.ts';

/** Budgets that requests of many share, for one request. */
export interface SharedCounters {
  /**
   * Takes one from each.
   *
   * @throws Failure as consumeLimits(), when one is exhausted
   */
  use(): Promise<Budget[]>;
  /** Gives them back: the request turned out to cost nothing. */
  giveBack(): Promise<void>;
}

/**
 * Runs a transaction that spends from budgets which requests of many share. On PostgreSQL such a counter is a row on which all of
 * them would wait until the transaction that has it commits; so they are taken in a transaction of its own before, for all
 * requests that came meanwhile at once, and given back afterwards where the transaction did not use them or left nothing. Never
 * are more let through than a budget holds; one whose process dies in between has cost one too many until its window ends.
 * SQLite has one writer, so that nobody waits for a row, and a transaction more would cost a commit.
 *
 * @param work spends by `budgets.use()` where `spend` would; it may run again, see Db.tx
 */
export function withSharedCounters<Result>(
  deps: Deps,
  counters: readonly LimitCounter[],
  work: (tx: Tx, budgets: SharedCounters) => Promise<Result>,
): Promise<Result> {
  if (deps.db.engine === 'postgres' && counters.length > 0) return takenBefore(deps, counters, work);
  return deps.db.tx((tx) =>
    work(tx, {
      use: () => consumeLimits({ tx, deps, now: deps.clock() }, counters),
      giveBack: () => refundLimits(tx, counters),
    }),
  );
}

async function takenBefore<Result>(
  deps: Deps,
  counters: readonly LimitCounter[],
  work: (tx: Tx, budgets: SharedCounters) => Promise<Result>,
): Promise<Result> {
  const taken = await take(deps, counters);
  let isUsed = false;
  let isDone = false;
  try {
    return await deps.db.tx(async (tx) => {
      isUsed = false;
      isDone = false;
      const result = await work(tx, {
        async use() {
          if (taken instanceof Failure) throw taken;
          isUsed = true;
          return taken.map(({ budget }) => budget);
        },
        async giveBack() {
          isUsed = false;
        },
      });
      isDone = true;
      return result;
    });
  } catch (error) {
    // Where the commit itself failed, it may have happened all the same: then what was used stays used.
    if (!isDone) isUsed = false;
    throw error;
  } finally {
    if (!isUsed && !(taken instanceof Failure)) await giveBackAll(deps, counters, taken);
  }
}

/** What one request took from a counter, and when the window of that ends (epoch ms). */
interface Taken {
  budget: Budget;
  endsAt: number;
}

async function giveBackAll(
  deps: Pick<Deps, 'db' | 'log'>,
  counters: readonly LimitCounter[],
  taken: readonly Taken[],
): Promise<void> {
  await deps.db
    .tx(async (tx) => {
      for (const [index, limit] of counters.entries()) {
        await refundCounter(tx, counterOf(limit), taken[index]!.endsAt, 1);
      }
    }, 'brief')
    .catch((error) => deps.log.warn({ err: error }, 'what a refused request took could not be given back'));
}

interface Wish {
  counters: readonly LimitCounter[];
  resolve(outcome: Taken[] | Failure): void;
  reject(error: unknown): void;
}

/** Of each database and kind of request: those that wait for the transaction under way. */
const lines = new WeakMap<Db, Map<string, Wish[]>>();
const WISHES_MAX = 200;

/** Takes one from each counter, or from none. @returns the failure where one is spent, to be thrown where it counts */
function take(
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  counters: readonly LimitCounter[],
): Promise<Taken[] | Failure> {
  const kinds = lines.get(deps.db) ?? new Map<string, Wish[]>();
  lines.set(deps.db, kinds);
  const kind = counters.map(({ name }) => name).join(' ');
  return new Promise((resolve, reject) => {
    const wish = { counters, resolve, reject };
    const waiting = kinds.get(kind);
    if (waiting !== undefined) return void waiting.push(wish);
    const line = [wish];
    kinds.set(kind, line);
    void serve(deps, line, () => kinds.delete(kind));
  });
}

/** @param over called in the same turn in which the last of the line is seen to have been served: who comes then begins anew */
async function serve(
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  line: Wish[],
  over: () => void,
): Promise<void> {
  while (line.length > 0) {
    const wishes = line.splice(0, WISHES_MAX);
    try {
      const outcomes = await deps.db.tx((tx) => takeForAll(tx, deps, wishes), 'brief');
      for (const [index, wish] of wishes.entries()) wish.resolve(outcomes[index]!);
    } catch (error) {
      for (const wish of wishes) wish.reject(error);
    }
  }
  over();
}

/** All have counters of the same names in the same order; so all processes take their rows in one order, too. */
async function takeForAll(
  tx: Tx,
  deps: Pick<Deps, 'db' | 'config' | 'clock'>,
  wishes: readonly Wish[],
): Promise<(Taken[] | Failure)[]> {
  const now = deps.clock();
  const outcomes: (Taken[] | Failure)[] = wishes.map(() => []);
  for (let rank = 0; rank < wishes[0]!.counters.length; rank += 1) {
    const still = wishes.keys().filter((index) => Array.isArray(outcomes[index]));
    const byCounter = Map.groupBy(still, (index) => counterOf(wishes[index]!.counters[rank]!));
    for (const [key, those] of [...byCounter].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const limit = wishes[those[0]!]!.counters[rank]!;
      const { max, windowSeconds } = rateOf(deps.config.limits, limit.name);
      const { taken, used, endsAt } = await incrementCounters(
        tx,
        key,
        those.length,
        max,
        windowSeconds * 1000,
        now,
      );
      for (const [place, index] of those.entries()) {
        const won = place < taken;
        const counter = { won, used: won ? used - taken + place + 1 : used, endsAt };
        const earlier = outcomes[index] as Taken[];
        try {
          earlier.push({ budget: settleLimit(deps, limit, counter, now), endsAt });
        } catch (failure) {
          outcomes[index] = failure as Failure;
          for (const [before, { endsAt: end }] of earlier.entries()) {
            await refundCounter(tx, counterOf(wishes[index]!.counters[before]!), end, 1);
          }
        }
      }
    }
  }
  return outcomes;
}
