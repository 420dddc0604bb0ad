/**
 * Reports whether a text is not empty and visible ASCII only (VCHAR of RFC 5234). Check the id that a client sends before a
 * query by it: PostgreSQL fails on a NUL in a text instead of finding nothing.
 */
export function isVisibleAscii(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
