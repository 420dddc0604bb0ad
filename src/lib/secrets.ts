import { crc32 } from 'node:zlib';
import { randomBase62, toBase62 } from './base62.ts';
import { sha256 } from './hash.ts';
import type { Random } from './random.ts';

/** The prefix of a secret tells its type (S-23). `ak`: keys of apps; `dg` is reserved for delegated tokens. */
export const SECRET_PREFIXES = [
  'sk',
  'at',
  'art',
  'ct',
  'clm',
  'rss',
  'ses',
  'ak',
  'dg',
  'ort',
  'cs',
  'rat',
] as const;
export type SecretPrefix = (typeof SECRET_PREFIXES)[number];

const RANDOM_LENGTH = 43; // 256 bits
const CHECK_LENGTH = 6;

/**
 * Creates a secret: `prefix_[brand_]`, 43 random base62 characters, and the CRC-32 of all that in 6 more.
 * By the checksum we reject a mistyped or invented secret without a database query (S-20).
 */
export function newSecret(prefix: SecretPrefix, random: Random, brand = ''): string {
  const body = `${prefix}_${brand === '' ? '' : `${brand}_`}${randomBase62(RANDOM_LENGTH, random)}`;
  return body + checksumOf(body);
}

/** Returns the last characters of a secret, which are computed from all others. */
export function checksumOf(body: string): string {
  return toBase62(crc32(body), CHECK_LENGTH);
}

/** Reports whether a text can be a secret of ours: prefix, alphabet and checksum are right. It need not exist. */
export function isWellFormedSecret(prefix: SecretPrefix, text: string): boolean {
  if (text.length > 128 || !SHAPES[prefix].test(text)) return false;
  const body = text.slice(0, -CHECK_LENGTH);
  return checksumOf(body) === text.slice(-CHECK_LENGTH);
}

/** A key may have a brand between its prefix and the rest. */
const SHAPES = Object.fromEntries(
  SECRET_PREFIXES.map((prefix) => [
    prefix,
    new RegExp(`^${prefix}_${prefix === 'sk' ? '(?:[a-z0-9]{1,16}_)?' : ''}[0-9A-Za-z]{49}$`),
  ]),
) as Record<SecretPrefix, RegExp>;

/** Hashes a secret (SHA-256). Tables store the hash only, as the primary key where secrets are looked up. */
export function hashSecret(secret: string): Buffer {
  return sha256(secret);
}

/**
 * Returns what may still be shown of a secret: its prefix with the first four random characters, and the last four characters.
 * For a signed token `prefix` is always `eyJ`.
 */
export function secretHints(secret: string): { prefix: string; lastFour: string } {
  const start = secret.startsWith('eyJ') ? 'eyJ' : secret.slice(0, secret.lastIndexOf('_') + 5);
  return { prefix: start, lastFour: secret.slice(-4) };
}
