import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** What can be told of a credential without asking anybody. */

/** `sk_[brand_]` or `at_`, 43 random base62 characters, and the CRC-32 of all that in six more. */
const SHAPE = /^(?:sk_(?:[a-z0-9]{1,16}_)?|at_)[0-9A-Za-z]{49}$/;
const CHECK_LENGTH = 6;
/** What is signed (RFC 9068) is asked about like the rest: it can be revoked before its end. */
const SIGNED = /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/;
/** No credential is longer. */
export const LENGTH_MAX = 2048;
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Whether a text can be a credential: right shape, right checksum. An invented or mistyped one costs no question. */
export function isWellFormed(token: string): boolean {
  if (token.length > LENGTH_MAX) return false;
  if (!SHAPE.test(token)) return SIGNED.test(token);
  let rest = crc32(token.slice(0, -CHECK_LENGTH));
  for (let at = token.length - 1; at >= token.length - CHECK_LENGTH; at -= 1) {
    if (token[at] !== DIGITS[rest % 62]) return false;
    rest = Math.floor(rest / 62);
  }
  return true;
}

/** SHA-256, in hex: the name under which a key is remembered. The key itself is kept nowhere. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'hex');
}
