/**
 * oidc-provider knows no hash of a client's secret: it gets this text in place of the secret, and compares by
 * compareClientSecret (provider.ts).
 */

/** No secret that we make begins with it. */
const HASHED = 'sha256:';

/** Makes the text from the hash. */
export function toHashedSecret(hash: Uint8Array): string {
  return HASHED + Buffer.from(hash).toString('base64url');
}

/** Whether a text stands in place of a secret. */
export function isHashedSecret(text: string): boolean {
  return text.startsWith(HASHED);
}

/** Reads the hash from such a text. */
export function hashOf(text: string): Buffer {
  return Buffer.from(text.slice(HASHED.length), 'base64url');
}
