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

/**
 * Returns scopes together with all that they imply, directly or through others.
 *
 * @param configured the configured scopes, by name
 */
export function withImplied(
  scopes: readonly string[],
  configured: ReadonlyMap<string, { implies?: readonly string[] | undefined }>,
): string[] {
  const all = new Set(scopes);
  // A set also iterates over what is added on the way.
  for (const scope of all) for (const implied of configured.get(scope)?.implies ?? []) all.add(implied);
  return [...all];
}

/** Reports whether every scope of `inner` is in `outer`. */
export function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((scope) => outer.includes(scope));
}
