import type { Random } from './random.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const CODES = Buffer.from(ALPHABET, 'latin1');

/** `length` characters of 0-9 A-Z a-z, each drawn evenly (5.95 bits a character). */
export function randomBase62(length: number, random: Random): string {
  const text = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    for (const byte of random(length - filled + 4)) {
      const index = byte & 63;
      // 62 and 63 are thrown away: folding them back would favour two characters.
      if (index < 62 && filled < length) text[filled++] = CODES[index]!;
    }
  }
  return text.toString('latin1');
}

/** A non-negative integer in base62, left-padded with 0 to `width`. */
export function toBase62(value: number, width: number): string {
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = ALPHABET[rest % 62] + text;
  return text.padStart(width, '0');
}
