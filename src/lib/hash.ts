import { hash, timingSafeEqual } from 'node:crypto';

/** Computes the SHA-256 of a text (as UTF-8) or of bytes. @returns 32 bytes */
export function sha256(data: string | Uint8Array): Buffer {
  return hash('sha256', data, 'buffer');
}

/** Compares two digests in constant time. */
export function sameDigest(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
