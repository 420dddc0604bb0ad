import { z } from 'zod';

/** Times as they stand in JSON. */
export const iso = z.iso.datetime().describe('ISO 8601, UTC');

/** @param at epoch ms */
export function toIso(at: number): string {
  return new Date(at).toISOString();
}

/** @param at epoch ms, or null */
export function isoOrNull(at: number | null): string | null {
  return at === null ? null : toIso(at);
}
