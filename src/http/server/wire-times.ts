import { z } from 'zod';

/** The schema of a time in JSON. */
export const iso = z.iso.datetime().describe('ISO 8601, UTC');

/**
 * Formats a time as ISO 8601 in UTC.
 *
 * @param at epoch ms
 */
export function toIso(at: number): string {
  return new Date(at).toISOString();
}

/**
 * Formats a time that may be absent.
 *
 * @param at epoch ms, or null
 */
export function isoOrNull(at: number | null): string | null {
  return at === null ? null : toIso(at);
}
