/** Units of time. The service uses epoch ms; JWT and OAuth use seconds (RFC 7519 section 2). */

export const DAY_MS = 86_400_000;

/** Converts epoch ms to whole epoch seconds. */
export function epochSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/**
 * Returns how many whole seconds are left until a time, at least 0: the value of `expires_in` (RFC 6749 section 5.1).
 *
 * @param at epoch ms
 * @param now epoch ms
 */
export function secondsUntil(at: number, now: number): number {
  return Math.max(0, Math.floor((at - now) / 1000));
}
