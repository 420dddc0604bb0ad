import { ConfigError } from './errors.ts';

/**
 * A whole number among the settings.
 *
 * @param text as it was set; undefined: `fallback`
 * @throws ConfigError for anything that is none from `min` to `max`
 */
export function integer(
  name: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < min || value > max) {
    throw new ConfigError(`${name} must be a whole number from ${min} to ${max}.`);
  }
  return value;
}
