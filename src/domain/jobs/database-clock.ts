import type { Clock } from '../../lib/clock.ts';
import { createSteadyClock } from '../../lib/steady-clock.ts';
import { endCodesBefore, findClockMark, upsertClockMark } from '../../store/clock-mark.ts';
import type { Db } from '../../store/engine/db.ts';

const LOOK_MS = 15_000;
const MARK_MS = 60_000;

/** The clock of a service. */
export interface DatabaseClock {
  clock: Clock;
  /** Whether what has expired by it may be deleted now. */
  mayDelete(): boolean;
  /** Looks at the other clock, as is done every fifteen seconds. */
  look(): Promise<void>;
  stop(): void;
}

/** What tests put in the place of the real world. */
interface Overrides {
  /** ms since whenever; never goes back. */
  monotonic?: () => number;
  /** Told that time was set by so many ms. */
  onSet?: (byMs: number) => void;
}

/**
 * The clock that all services on a database share: on PostgreSQL the server's, on SQLite, which has one host, that host's. It goes
 * on by the monotonic clock between looks, and never begins before the latest time that was known, so a clock that jumps, here or
 * there, revives and ends nothing (lib/steady-clock.ts).
 */
export async function databaseClock(
  db: Db,
  system: Clock,
  { monotonic = () => performance.now(), onSet = () => {} }: Overrides = {},
): Promise<DatabaseClock> {
  const read = db.engine === 'sqlite' ? async () => system() : () => db.now();

  const mark = await findClockMark(db);
  const steady = createSteadyClock(await read(), mark, monotonic);
  let markedAt = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const before = monotonic();
    const there = await read();
    // It was read somewhere between asking and being answered.
    const byMs = steady.observe(there + (monotonic() - before) / 2);
    if (byMs !== 0) {
      // Beforehand, so that none of them lives again for a moment, or for good where the database is away just now.
      if (byMs < 0) await endCodes(db, steady.now());
      steady.set(byMs);
      onSet(byMs);
    }
    if (byMs === 0 && monotonic() - markedAt < MARK_MS) return;
    markedAt = monotonic();
    await db.tx((tx) => upsertClockMark(tx, steady.now(), byMs < 0), 'brief');
  }

  const timer = setInterval(() => void look().catch(() => {}), LOOK_MS);
  timer.unref();
  return { clock: steady.now, mayDelete: steady.mayDelete, look, stop: () => clearInterval(timer) };
}

const ROWS = 500;

/** Codes that were over before time was set back stay over. */
async function endCodes(db: Db, past: number): Promise<void> {
  for (const table of ['claim_attempts', 'sign_ins'] as const) {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const from: string = after;
      after = await db.tx((tx) => endCodesBefore(tx, table, past, from, ROWS));
    }
  }
}
