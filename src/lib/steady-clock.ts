import { DAY_MS } from './time.ts';

/** Time that neither stands still nor goes back, carried on by the monotonic clock, and corrected by another that may step. */
export interface SteadyClock {
  /** Epoch ms. */
  now(): number;
  /**
   * What the other clock shows now. What is less than a minute off is followed, backwards slowly; what is more is believed after it
   * has shown the same for ten minutes.
   *
   * @returns by how much time is to be set, in ms, where that is more than a minute; else 0. It is said again until it is done.
   */
  observe(there: number): number;
  /** Sets time by so many ms. */
  set(byMs: number): void;
  /** Whether time can be trusted enough to delete what has expired: not in the hour after a leap of more than a day. */
  mayDelete(): boolean;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const BELIEVED_AFTER_MS = 10 * MINUTE_MS;
/** How much slower time goes while it is ahead. */
const SLEW = 0.1;

/**
 * @param there what the other clock shows
 * @param mark the latest time that was known before, if any: it does not begin before that
 * @param monotonic ms since whenever
 */
export function createSteadyClock(
  there: number,
  mark: number | undefined,
  monotonic: () => number,
): SteadyClock {
  let origin = Math.max(there, mark ?? there) - monotonic();
  let observedAt = monotonic();
  /** What the other clock shows that is not believed yet. */
  let doubted: { off: number; since: number } | undefined;
  let deletesFrom = mark !== undefined && there - mark > DAY_MS ? monotonic() + HOUR_MS : 0;

  function observe(seen: number): number {
    const at = monotonic();
    const off = seen - (origin + at);
    const passed = at - observedAt;
    observedAt = at;
    if (Math.abs(off) <= MINUTE_MS) {
      doubted = undefined;
      origin += Math.max(off, -SLEW * passed);
      return 0;
    }
    if (doubted === undefined || Math.abs(off - doubted.off) > MINUTE_MS) doubted = { off, since: at };
    return at - doubted.since < BELIEVED_AFTER_MS ? 0 : off;
  }

  function set(byMs: number): void {
    doubted = undefined;
    origin += byMs;
    if (byMs > DAY_MS) deletesFrom = monotonic() + HOUR_MS;
  }

  return {
    now: () => Math.round(origin + monotonic()),
    observe,
    set,
    mayDelete: () => monotonic() >= deletesFrom,
  };
}
