import { type PermissionEntry, sortWords } from './permission-entry.ts';

/** Which permissions are within others. Decided from what was granted; the service knows whether it still holds. */

/** Scopes that include others: `{ write: ['read'] }`. */
export type Implied = Readonly<Record<string, readonly string[]>>;

/** What is held or asked for at a place. */
export type Permission = Pick<PermissionEntry, 'service' | 'space' | 'path' | 'actions' | 'types'>;

/**
 * Reports whether permissions include another.
 *
 * @param held as granted, with scopes and workspaces by name
 * @param wanted its space may be `default`: then one workspace must have all of it; its actions may be the last words of scopes
 */
export function covers(held: readonly Permission[], wanted: Permission, implied: Implied = {}): boolean {
  return missingActions(held, wanted, implied).length === 0;
}

/** Returns what of the wanted permissions is not held, each with the actions that are missing. */
export function listMissing<Wanted extends Permission>(
  held: readonly Permission[],
  wanted: readonly Wanted[],
  implied: Implied = {},
): Wanted[] {
  return wanted
    .map((each) => ({ ...each, actions: missingActions(held, each, implied) }))
    .filter(({ actions }) => actions.length > 0);
}

/**
 * Reports whether everything that was granted was asked for: the same services, places within those named, actions and types
 * among them.
 */
export function isWithinRequest(granted: readonly Permission[], requested: readonly Permission[]): boolean {
  return granted.every((grant) =>
    grant.actions.every((action) =>
      requested.some(
        (request) =>
          isSameService(grant.service, request.service) &&
          (request.space === 'default' || request.space === grant.space) &&
          isPathWithin(grant.path, request.path) &&
          areTypesWithin(grant.types, request.types) &&
          request.actions.some((asked) => isNamedBy(action, asked)),
      ),
    ),
  );
}

/** Reports whether a path is the other, or below it. What lies in a node is the API's to know, so nodes are only equal. */
export function isPathWithin(inner: string, outer: string): boolean {
  return outer === '' || inner === outer || (isDirectory(outer) && inner.startsWith(outer));
}

/** Reports whether a scope has this name, or ends in it behind a colon: `read` names `workspace:read`. */
export function isNamedBy(scope: string, name: string): boolean {
  return scope === name || scope.endsWith(`:${name}`);
}

function missingActions(held: readonly Permission[], wanted: Permission, implied: Implied): string[] {
  if (wanted.space !== 'default') return missingIn(held, wanted, implied);
  const spaces = new Set(held.map(({ space }) => space));
  return [...spaces]
    .map((space) => missingIn(held, { ...wanted, space }, implied))
    .reduce((least, each) => (each.length < least.length ? each : least), [...wanted.actions]);
}

function missingIn(held: readonly Permission[], wanted: Permission, implied: Implied): string[] {
  const there = held.filter(
    (each) =>
      isSameService(each.service, wanted.service) &&
      each.space === wanted.space &&
      isPathWithin(wanted.path, each.path),
  );
  const isHeld = (action: string, type: string | undefined) =>
    there.some(
      (each) =>
        (each.types === undefined || (type !== undefined && each.types.includes(type))) &&
        withImplied(each.actions, implied).some((scope) => isNamedBy(scope, action)),
    );
  return sortWords(wanted.actions).filter(
    (action) => !(wanted.types ?? [undefined]).every((type) => isHeld(action, type)),
  );
}

function withImplied(actions: readonly string[], implied: Implied): string[] {
  const all = new Set(actions);
  // A set also visits what is added on the way.
  for (const each of all) if (Object.hasOwn(implied, each)) for (const one of implied[each]!) all.add(one);
  return [...all];
}

/** Prefixes are the deployment's, and one request or grant is of one deployment. */
function isSameService(left: string, right: string): boolean {
  return left.slice(left.indexOf('.') + 1) === right.slice(right.indexOf('.') + 1);
}

function isDirectory(path: string): boolean {
  return path.endsWith('/');
}

function areTypesWithin(inner: readonly string[] | undefined, outer: readonly string[] | undefined): boolean {
  if (outer === undefined) return true;
  return inner?.every((type) => outer.includes(type)) ?? false;
}
