import type { Random } from './random.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** `length` characters of 0-9 A-Z a-z, each drawn evenly (5.95 bits a character). */
export function randomBase62(length: number, random: Random): string {
  let text = '';
  while (text.length < length) {
    for (const byte of random(length - text.length + 8)) {
      const index = byte & 63;
      // 62 and 63 are thrown away: folding them back would favour two characters.
      if (index < 62 && text.length < length) text += ALPHABET[index];
    }
  }
  return text;
}

/** A non-negative integer in base62, left-padded with 0 to `width`. */
export function toBase62(value: number, width: number): string {
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = ALPHABET[rest % 62] + text;
  return text.padStart(width, '0');
}
