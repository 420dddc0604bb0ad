/**
 * A parsed set of scopes, in one order and without repeats. Written as words separated by spaces (RFC 6749 3.3) or, as the
 * tinysend contract has it, by commas.
 */
export function parseScope(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((word) => word !== ''))].sort();
}

/** Space-separated, as stored and as OAuth writes it. */
export function formatScope(scopes: readonly string[]): string {
  return scopes.join(' ');
}

/** Of some scopes those within a bound. @param bound as stored: what an owner left; null: all */
export function restrictTo(scopes: readonly string[], bound: string | null): string[] {
  if (bound === null) return [...scopes];
  const allowed = parseScope(bound);
  return scopes.filter((scope) => allowed.includes(scope));
}

/** Whether every scope of `inner` is in `outer`. */
export function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((scope) => outer.includes(scope));
}
