import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Checks of a credential that need no request to the authorization server. */

/**
 * `sk_[brand_]`, `at_`, or one of those that later versions of the service issue, `ak_` and `dg_`; 43 random base62 characters, and
 * the CRC-32 of all that in 6 more.
 */
const SHAPE = /^(?:sk_(?:[a-z0-9]{1,16}_)?|(?:at|ak|dg)_)[0-9A-Za-z]{49}$/;
const CHECK_LENGTH = 6;
/** A signed access token (RFC 9068). It is introspected, too, because it can be revoked before it expires. */
const SIGNED = /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/;
/** The greatest length of a credential. */
export const LENGTH_MAX = 2048;
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** How keys of a service look, beside those that begin with `sk_`: `bytes` have no checksum, `any` may have one. */
export interface KeyShape {
  prefix: string;
  form: 'checked' | 'bytes' | 'any';
}

/** What can be a key of a service whose keys have another prefix. */
const FOREIGN = /^[a-z][a-z0-9_]{0,50}_[\w-]{43,49}$/;

/** Reports whether a text can be a key of some service, but not one that every service issues. */
export function hasForeignShape(token: string): boolean {
  return !SHAPE.test(token) && !SIGNED.test(token) && token.length <= LENGTH_MAX && FOREIGN.test(token);
}

/** Reports whether a text can be a key that a service issues: shape, and checksum where there is one, are right. */
export function fitsShape({ prefix, form }: KeyShape, token: string): boolean {
  if (!token.startsWith(prefix)) return false;
  const tail = token.slice(prefix.length);
  if (form !== 'checked' && /^[\w-]{43}$/.test(tail)) return true;
  return form !== 'bytes' && /^[0-9A-Za-z]{49}$/.test(tail) && hasRightChecksum(token);
}

/** Reports whether a text can be a credential: shape and checksum are right. An invented or mistyped one costs no request. */
export function isWellFormed(token: string): boolean {
  if (token.length > LENGTH_MAX) return false;
  return SHAPE.test(token) ? hasRightChecksum(token) : SIGNED.test(token);
}

function hasRightChecksum(token: string): boolean {
  let rest = crc32(token.slice(0, -CHECK_LENGTH));
  for (let at = token.length - 1; at >= token.length - CHECK_LENGTH; at -= 1) {
    if (token[at] !== DIGITS[rest % 62]) return false;
    rest = Math.floor(rest / 62);
  }
  return true;
}

/** Hashes a credential (SHA-256, hex). Results are cached by the hash; the credential itself is not stored. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'hex');
}
