import { hash, timingSafeEqual } from 'node:crypto';

/** SHA-256 of text (as UTF-8) or bytes; 32 bytes. */
export function sha256(data: string | Uint8Array): Buffer {
  return hash('sha256', data, 'buffer');
}

/** Compares two digests of one length without telling where they differ. */
export function sameDigest(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
