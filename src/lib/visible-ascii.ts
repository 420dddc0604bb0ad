/**
 * Whether a text is visible ASCII alone (VCHAR of RFC 5234), and not empty. What a client sends as an id is checked by it before a
 * query: PostgreSQL knows no NUL in a text, and fails instead of finding nothing.
 */
export function isVisibleAscii(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
