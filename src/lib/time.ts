/** Units of time. Everything inside is in epoch milliseconds; JWTs and OAuth say seconds (RFC 7519 section 2). */

export const DAY_MS = 86_400_000;

/** Whole seconds of epoch milliseconds. */
export function epochSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}
