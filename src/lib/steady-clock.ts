import { DAY_MS } from './time.ts';

/** A clock that advances by the monotonic clock and follows a reference clock that may step. Only set() can move it back. */
export interface SteadyClock {
  /** Epoch ms. */
  now(): number;
  /**
   * Compares with the reference clock. An offset of up to a minute is corrected, gradually if time would go back. A larger one
   * is accepted once it has lasted for ten minutes.
   *
   * @param referenceNow what the reference clock shows, epoch ms
   * @returns the ms to pass to set() if a larger offset was accepted, at each call until then; else 0
   */
  observe(referenceNow: number): number;
  /** Moves the clock by a number of ms. */
  set(byMs: number): void;
  /** Whether expired rows may be deleted: not within an hour after the clock jumped by more than a day. */
  mayDelete(): boolean;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const ACCEPTED_AFTER_MS = 10 * MINUTE_MS;
/** The share by which the clock slows down while it is ahead. */
const SLEW = 0.1;

/**
 * Creates a clock.
 *
 * @param reference what the reference clock shows, epoch ms
 * @param mark the latest time that any process recorded, epoch ms: the clock does not start before it
 * @param monotonic returns ms since any fixed moment
 */
export function createSteadyClock(
  reference: number,
  mark: number | undefined,
  monotonic: () => number,
): SteadyClock {
  let origin = Math.max(reference, mark ?? reference) - monotonic();
  let observedAt = monotonic();
  /** A large offset of the reference clock that is not accepted yet. */
  let pending: { offset: number; since: number } | undefined;
  let deletionAllowedFrom = mark !== undefined && reference - mark > DAY_MS ? monotonic() + HOUR_MS : 0;

  function observe(referenceNow: number): number {
    const at = monotonic();
    const offset = referenceNow - (origin + at);
    const elapsed = at - observedAt;
    observedAt = at;
    if (Math.abs(offset) <= MINUTE_MS) {
      pending = undefined;
      origin += Math.max(offset, -SLEW * elapsed);
      return 0;
    }
    if (pending === undefined || Math.abs(offset - pending.offset) > MINUTE_MS)
      pending = { offset, since: at };
    return at - pending.since < ACCEPTED_AFTER_MS ? 0 : offset;
  }

  function set(byMs: number): void {
    pending = undefined;
    origin += byMs;
    if (byMs > DAY_MS) deletionAllowedFrom = monotonic() + HOUR_MS;
  }

  return {
    now: () => Math.round(origin + monotonic()),
    observe,
    set,
    mayDelete: () => monotonic() >= deletionAllowedFrom,
  };
}
