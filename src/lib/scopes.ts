/**
 * Parses a list of scopes, separated by spaces (RFC 6749 section 3.3) or, in the tinysend dialect, by commas.
 *
 * @returns sorted, without duplicates
 */
export function parseScope(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((word) => word !== ''))].sort();
}

/** Joins scopes with spaces, as the database and OAuth write them. */
export function formatScope(scopes: readonly string[]): string {
  return scopes.join(' ');
}

/** Returns the scopes that are within a bound. @param bound what the owner still allows, space-separated; null: everything */
export function restrictTo(scopes: readonly string[], bound: string | null): string[] {
  if (bound === null) return [...scopes];
  const allowed = parseScope(bound);
  return scopes.filter((scope) => allowed.includes(scope));
}

/** Reports whether every scope of `inner` is in `outer`. */
export function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((scope) => outer.includes(scope));
}
