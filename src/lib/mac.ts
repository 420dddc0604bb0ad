import type { Keyring } from './keyring.ts';

/**
 * Appends a MAC to a text, for a link or cookie. The token proves that the service issued it, and no row is stored for it.
 *
 * @param purpose a token of one purpose is not valid for another
 * @returns `text.mac`; the MAC needs no escaping in a URL
 */
export function appendMac(keyring: Keyring, purpose: string, text: string): string {
  return `${text}.${keyring.sign(purpose, text)}`;
}

/** Verifies a token of appendMac(). @returns the text; undefined if the MAC is wrong or of another purpose */
export function verifyMac(keyring: Keyring, purpose: string, token: string): string | undefined {
  const dot = token.lastIndexOf('.');
  if (dot < 0) return undefined;
  const text = token.slice(0, dot);
  return keyring.verify(purpose, text, token.slice(dot + 1)) ? text : undefined;
}
