import type { Db, Tx } from '../../src/store/engine/db.ts';

/** Two transactions of PostgreSQL in the order that a test wants: one stands still inside while the other comes by. */
export interface Interleaver {
  /** For `startTestService`. */
  wrapDb(db: Db): Db;
  /**
   * Runs the first until it is about to send a statement like this; then the second, until it is through or waits for the
   * first; then both to their ends.
   */
  meet<First, Second>(
    at: RegExp,
    first: () => Promise<First>,
    second: () => Promise<Second>,
  ): Promise<[First, Second]>;
}

const WAITING = `SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;

export function createInterleaver(): Interleaver {
  let inner: Db;
  let gate: { at: RegExp; reached: () => void; open: Promise<void> } | undefined;

  async function pass(sql: string): Promise<void> {
    if (gate === undefined || !gate.at.test(sql)) return;
    const { reached, open } = gate;
    gate = undefined;
    reached();
    await open;
  }
  const gated = (tx: Tx): Tx => ({
    get: async (sql, params) => pass(sql).then(() => tx.get(sql, params)),
    all: async (sql, params) => pass(sql).then(() => tx.all(sql, params)),
    run: async (sql, params) => pass(sql).then(() => tx.run(sql, params)),
  });

  async function untilSomebodyWaits(): Promise<void> {
    while ((await inner.get<{ n: number }>(WAITING))!.n === 0);
  }

  return {
    wrapDb(db) {
      inner = db;
      return { ...db, tx: (work) => db.tx((tx) => work(gated(tx))) };
    },
    async meet(at, first, second) {
      const [reached, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      gate = { at, reached: reached.resolve, open: open.promise };
      const one = first();
      await Promise.race([
        reached.promise,
        one.then(() => Promise.reject(new Error(`nothing like ${at} was sent`))),
      ]);
      const other = second();
      await Promise.race([other, untilSomebodyWaits()]);
      open.resolve();
      return Promise.all([one, other]);
    },
  };
}
