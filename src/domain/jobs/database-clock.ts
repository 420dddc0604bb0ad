import type { Clock } from '../../lib/clock.ts';
import { createSteadyClock } from '../../lib/steady-clock.ts';
import { findClockMark, updateCodesEndedBefore, upsertClockMark } from '../../store/clock-mark.ts';
import type { Db } from '../../store/engine/db.ts';

const OBSERVE_EVERY_MS = 15_000;
const MARK_EVERY_MS = 60_000;

/** The clock that all services on a database share. */
export interface DatabaseClock {
  clock: Clock;
  /** Whether the time is certain enough to delete what has expired. */
  mayDelete(): boolean;
  /** Compares the clock with its reference; a timer does so every fifteen seconds. */
  look(): Promise<void>;
  /** Stops the timer. */
  stop(): void;
}

interface Options {
  /** A monotonic clock, ms since any fixed moment. */
  monotonic?: () => number;
  /** Called after the clock was set, with the difference in ms. */
  onSet?: (byMs: number) => void;
}

/**
 * Creates the clock that all services on a database share. Its reference is the server's clock on PostgreSQL, and the
 * clock of the only host on SQLite. Between readings it advances by the monotonic clock, and it never starts before the
 * latest time recorded in the database. So a clock that jumps, here or at the server, revives nothing and ends nothing
 * (R-17, lib/steady-clock.ts).
 *
 * @param system the clock of this host, epoch ms
 */
export async function createDatabaseClock(
  db: Db,
  system: Clock,
  { monotonic = () => performance.now(), onSet = () => {} }: Options = {},
): Promise<DatabaseClock> {
  const readReference = db.engine === 'sqlite' ? async () => system() : () => db.now();

  const mark = await findClockMark(db);
  const steady = createSteadyClock(await readReference(), mark, monotonic);
  let markedAt = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const before = monotonic();
    const reference = await readReference();
    // The reference clock was read at some moment between request and answer: the middle is the best estimate.
    const byMs = steady.observe(reference + (monotonic() - before) / 2);
    if (byMs !== 0) {
      // Before time is set back: otherwise expired codes would be valid again, until the database could be written.
      if (byMs < 0) await endExpiredCodes(db, steady.now());
      steady.set(byMs);
      onSet(byMs);
    }
    if (byMs === 0 && monotonic() - markedAt < MARK_EVERY_MS) return;
    markedAt = monotonic();
    await db.tx((tx) => upsertClockMark(tx, steady.now(), byMs < 0), 'brief');
  }

  const timer = setInterval(() => void look().catch(() => {}), OBSERVE_EVERY_MS);
  timer.unref();
  return { clock: steady.now, mayDelete: steady.mayDelete, look, stop: () => clearInterval(timer) };
}

const CODES_PER_BATCH = 500;

/** Ends all codes that have expired before time is set back, so that they stay expired. @param past epoch ms */
async function endExpiredCodes(db: Db, past: number): Promise<void> {
  for (const table of ['claim_attempts', 'sign_ins'] as const) {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const from: string = after;
      after = await db.tx((tx) => updateCodesEndedBefore(tx, table, past, from, CODES_PER_BATCH));
    }
  }
}
