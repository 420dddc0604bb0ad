import { crc32 } from 'node:zlib';
import { randomBase62, toBase62 } from './base62.ts';
import { sha256 } from './hash.ts';
import type { Random } from './random.ts';

/** Secrets that we give out, by the prefix that every one of them carries (S-23). */
export type SecretPrefix = 'sk' | 'at' | 'art' | 'ct' | 'clm' | 'rss' | 'ses';

const RANDOM_LENGTH = 43; // 256 bits
const CHECK_LENGTH = 6;

/**
 * A new secret: `prefix_[brand_]` + 43 random base62 characters + 6 of CRC-32 over all that stands before.
 * The checksum makes a mistyped or invented secret known as such without a look into the database (S-20).
 */
export function newSecret(prefix: SecretPrefix, random: Random, brand = ''): string {
  const body = `${prefix}_${brand === '' ? '' : `${brand}_`}${randomBase62(RANDOM_LENGTH, random)}`;
  return body + toBase62(crc32(body), CHECK_LENGTH);
}

/** Whether the text could be a secret of ours: right prefix, right alphabet, right checksum. Says nothing of its existence. */
export function wellFormed(prefix: SecretPrefix, text: string): boolean {
  if (text.length > 128 || !SHAPES[prefix].test(text)) return false;
  const body = text.slice(0, -CHECK_LENGTH);
  return toBase62(crc32(body), CHECK_LENGTH) === text.slice(-CHECK_LENGTH);
}

const SHAPES: Record<SecretPrefix, RegExp> = {
  sk: /^sk_(?:[a-z0-9]{1,16}_)?[0-9A-Za-z]{49}$/,
  at: /^at_[0-9A-Za-z]{49}$/,
  art: /^art_[0-9A-Za-z]{49}$/,
  ct: /^ct_[0-9A-Za-z]{49}$/,
  clm: /^clm_[0-9A-Za-z]{49}$/,
  rss: /^rss_[0-9A-Za-z]{49}$/,
  ses: /^ses_[0-9A-Za-z]{49}$/,
};

/** What is stored of a secret, and the primary key of the tables that are asked by it. */
export function hashSecret(secret: string): Buffer {
  return sha256(secret);
}

/** What may be shown of a secret afterwards: the start up to four random characters, and the last four. What was signed starts alike. */
export function hints(secret: string): { prefix: string; lastFour: string } {
  const start = secret.startsWith('eyJ') ? 'eyJ' : secret.slice(0, secret.lastIndexOf('_') + 5);
  return { prefix: start, lastFour: secret.slice(-4) };
}
