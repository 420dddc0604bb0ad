/** Which scopes include others: `{ admin: ['write'], write: ['read'] }`. */
export type Implies = Readonly<Record<string, readonly string[]>>;

/**
 * Reports whether scopes include one scope, directly or by what they imply.
 *
 * @param held the scopes of a credential
 */
export function covers(held: readonly string[], scope: string, implies: Implies = {}): boolean {
  if (held.includes(scope)) return true; // the most frequent case
  const covering = listCovering(scope, implies);
  return held.some((each) => covering.has(each));
}

const known = new WeakMap<Implies, Map<string, ReadonlySet<string>>>();
/** Scopes are named by the operator; what callers ask for beyond that is not kept. */
const KNOWN_MAX = 1000;

/** Returns all scopes that include a scope, itself among them. */
export function listCovering(scope: string, implies: Implies): ReadonlySet<string> {
  let byScope = known.get(implies);
  if (byScope === undefined) {
    byScope = new Map();
    known.set(implies, byScope);
  }
  let covering = byScope.get(scope);
  if (covering === undefined) {
    covering = findCovering(scope, implies);
    if (byScope.size < KNOWN_MAX) byScope.set(scope, covering);
  }
  return covering;
}

function findCovering(scope: string, implies: Implies): ReadonlySet<string> {
  const covering = new Set([scope]);
  // A set visits what is added while it is walked.
  for (const each of covering) {
    for (const [name, implied] of Object.entries(implies)) if (implied.includes(each)) covering.add(name);
  }
  return covering;
}
