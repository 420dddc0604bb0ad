import { AuthError } from './auth-error.ts';

/** How long what is granted works, in seconds: at least a minute, at most a year. */
export const LIFETIME_SECONDS = { min: 60, max: 31_622_400, default: 604_800 } as const;

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

/**
 * Parses the argument of `--expiry`: `30m`, `12h`, `7d`, `2w`, or raw milliseconds, which are cut to seconds.
 *
 * @returns seconds
 * @throws AuthError `INVALID_EXPIRY`
 */
export function parseLifetime(text: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,5})([smhdw])$/.exec(text) ?? [];
  const seconds =
    unit !== undefined
      ? Number(count) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS]
      : /^[1-9][0-9]{0,14}$/.test(text)
        ? Math.floor(Number(text) / 1000)
        : 0;
  if (seconds >= LIFETIME_SECONDS.min && seconds <= LIFETIME_SECONDS.max) return seconds;
  throw new AuthError(
    'INVALID_EXPIRY',
    'That is no time from a minute to a year. Write it like 30m, 12h or 7d, or in milliseconds.',
  );
}
