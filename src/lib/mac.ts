import type { Keyring } from './keyring.ts';

/**
 * A text with its MAC, for a link or a cookie: whoever brings it back proves that the service gave it out, and nothing is
 * stored for it.
 *
 * @param purpose what it is for; a token of one purpose proves nothing for another
 * @returns `text.mac`, in characters that a URL takes as they are if the text has only such
 */
export function appendMac(keyring: Keyring, purpose: string, text: string): string {
  return `${text}.${keyring.sign(purpose, text)}`;
}

/** @returns the text of appendMac(), or undefined for any other token */
export function verifyMac(keyring: Keyring, purpose: string, token: string): string | undefined {
  const dot = token.lastIndexOf('.');
  if (dot < 0) return undefined;
  const text = token.slice(0, dot);
  return keyring.verify(purpose, text, token.slice(dot + 1)) ? text : undefined;
}
