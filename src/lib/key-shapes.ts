import { randomBase62 } from './base62.ts';
import type { Random } from './random.ts';
import { checksumOf, isWellFormedSecret, SECRET_PREFIXES } from './secrets.ts';

/** How keys look: what operators chose to begin them with, and what follows. */

/**
 * `checked`: 43 random base62 characters and their CRC-32 in 6 more. `bytes`: 32 random bytes in base64url. `any`: either; the
 * prefix was in use earlier.
 */
export type KeyForm = 'checked' | 'bytes' | 'any';

export interface KeyShape {
  /** With its last `_`. Behind `sk_` there may be a brand. */
  prefix: string;
  form: KeyForm;
}

export const DEFAULT_KEY_PREFIX = 'sk_';

const CHECKED = /^[0-9A-Za-z]{49}$/;
const BYTES = /^[\w-]{43}$/;
const HINT_LENGTH = 4;

/** Creates a key, of which the service stores only the hash and what keyHints() returns. */
export function newKeySecret({ prefix, form }: KeyShape, random: Random): string {
  if (form === 'bytes') return prefix + random(32).toString('base64url');
  const body = prefix + randomBase62(43, random);
  return body + checksumOf(body);
}

/** Returns what may still be shown of a key: its prefix with four random characters, and the last four. */
export function keyHints({ prefix }: KeyShape, key: string): { prefix: string; lastFour: string } {
  return { prefix: key.slice(0, prefix.length + HINT_LENGTH), lastFour: key.slice(-4) };
}

/** Whether a text can be a key: of those with a checksum, mistyped ones cannot (S-20). It need not exist. */
export function isWellFormedKey(shapes: readonly KeyShape[], text: string): boolean {
  return shapes.some((shape) => fits(shape, text));
}

function fits({ prefix, form }: KeyShape, text: string): boolean {
  if (prefix === DEFAULT_KEY_PREFIX) return isWellFormedSecret('sk', text);
  if (!text.startsWith(prefix)) return false;
  const tail = text.slice(prefix.length);
  if (form !== 'checked' && BYTES.test(tail)) return true;
  return form !== 'bytes' && CHECKED.test(tail) && checksumOf(text.slice(0, -6)) === text.slice(-6);
}

/** Returns what is stored of the start of a key, for a longer start of it; undefined: it begins like no key. */
export function readKeyStart(shapes: readonly KeyShape[], text: string): string | undefined {
  const shape = shapes.find(({ prefix }) => prefix !== DEFAULT_KEY_PREFIX && text.startsWith(prefix));
  const start = shape && text.slice(0, shape.prefix.length + HINT_LENGTH);
  return start !== undefined && /^[\w-]+$/.test(text) && start.length === shape!.prefix.length + HINT_LENGTH
    ? start
    : undefined;
}

/**
 * Says what is wrong with the prefixes that an operator chose; undefined: nothing. None may be one of ours or the start of
 * another, so that every key has one reading.
 */
export function findPrefixFault(issued: KeyShape, previous: readonly KeyShape[]): string | undefined {
  const reserved = SECRET_PREFIXES.filter((each) => each !== 'sk').map((each) => `${each}_`);
  const all = [issued, ...previous];
  for (const { prefix, form } of all) {
    const taken = reserved.find((each) => overlap(each, prefix));
    if (taken !== undefined)
      return `"${prefix}" is like "${taken}", which other secrets of this service begin with.`;
    if (form !== 'checked' && overlap(prefix, DEFAULT_KEY_PREFIX)) {
      return `"${prefix}" is like "sk_", and keys that begin with it have the form "checked".`;
    }
  }
  const clash = all.find(({ prefix }, index) =>
    all.some(
      (other, at) => at !== index && overlap(prefix, other.prefix) && !isBranded(prefix, other.prefix),
    ),
  );
  return clash && `"${clash.prefix}" and another prefix begin alike.`;
}

function overlap(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}

/** Keys with and without a brand behind `sk_` are read alike. */
function isBranded(one: string, other: string): boolean {
  return one !== other && one.startsWith(DEFAULT_KEY_PREFIX) && other.startsWith(DEFAULT_KEY_PREFIX);
}
