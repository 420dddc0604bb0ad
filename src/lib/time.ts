/** Units of time. Everything inside is in epoch milliseconds; JWTs and OAuth say seconds (RFC 7519 section 2). */

export const DAY_MS = 86_400_000;

/** Whole seconds of epoch milliseconds. */
export function epochSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** How many whole seconds are left until a moment, both in epoch milliseconds: what `expires_in` says (RFC 6749 section 5.1). */
export function secondsUntil(at: number, now: number): number {
  return Math.max(0, Math.floor((at - now) / 1000));
}
