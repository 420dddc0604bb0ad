import { hash, timingSafeEqual } from 'node:crypto';

/** Computes the SHA-256 of a text (as UTF-8) or of bytes. @returns 32 bytes */
export function sha256(data: string | Uint8Array): Buffer {
  // As "binary", one character per byte: Node takes twice as long to make a Buffer of its own for the bytes.
  return Buffer.from(hash('sha256', data, 'binary'), 'binary');
}

/** Compares two digests in constant time. */
export function sameDigest(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
