import { timingSafeEqual } from 'node:crypto';
import { hashSecret } from '../../../lib/secrets.ts';

/**
 * oidc-provider knows no hash of a client's secret: it gets this text in place of the secret, and compares by
 * compareClientSecret (provider.ts). While a secret is replaced, the text has the hash of the one before, too.
 */

/** No secret that we make begins with it. */
const HASHED = 'sha256:';

/** Makes the text from the hash, or from two. */
export function toHashedSecret(...hashes: readonly Uint8Array[]): string {
  return HASHED + hashes.map((hash) => Buffer.from(hash).toString('base64url')).join('.');
}

/** Whether a text stands in place of a secret. */
export function isHashedSecret(text: string): boolean {
  return text.startsWith(HASHED);
}

/** Reads the hash of the current secret from such a text. */
export function hashOf(text: string): Buffer {
  return hashesOf(text)[0]!;
}

/** Whether a presented secret is the one, or one of the two, of such a text. */
export function matchesHashedSecret(text: string, presented: string): boolean {
  if (!isHashedSecret(text)) return false;
  const hash = hashSecret(presented);
  return hashesOf(text).some((each) => each.length === hash.length && timingSafeEqual(each, hash));
}

function hashesOf(text: string): Buffer[] {
  return text
    .slice(HASHED.length)
    .split('.')
    .map((each) => Buffer.from(each, 'base64url'));
}
