import { customRandom } from 'nanoid';
import type { Random } from './random.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

type Draw = (length: number) => string;
const draws = new WeakMap<Random, Draw>();

/** Returns `length` random characters of 0-9 A-Z a-z, evenly distributed (5.95 bits each). */
export function randomBase62(length: number, random: Random): string {
  let draw = draws.get(random);
  if (draw === undefined) {
    draw = customRandom(ALPHABET, length, random);
    draws.set(random, draw);
  }
  return draw(length);
}

/** Formats a non-negative integer in base62, left-padded with 0 to `width` characters. */
export function toBase62(value: number, width: number): string {
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = ALPHABET[rest % 62] + text;
  return text.padStart(width, '0');
}
