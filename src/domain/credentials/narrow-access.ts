import { isWithinPath } from '../../lib/place-path.ts';

/** How a token is narrowed to some places within what its consent or its permission grants allow. */

/** A place to which a token is narrowed, in what its consent or its grants allow. */
export interface NarrowedPlace {
  workspaceId: string;
  /** The URL of the API; undefined: all. */
  resource?: string | undefined;
  /** As the API names it. */
  node?: string | undefined;
  path?: string | undefined;
  types?: string[] | undefined;
  actions: string[];
}

/** What may be done at one place. */
interface Access {
  workspaceId: string;
  /** Neither node nor path: the whole workspace. */
  node: string | undefined;
  path: string | undefined;
  /** Undefined: all. */
  types: string[] | undefined;
  actions: string[];
}

/**
 * Restricts access to some places, each as far as it lies within what is allowed.
 *
 * @param resource the URL of the API of that access
 */
export function narrowAccess<Placed extends Access>(
  access: readonly Placed[],
  places: readonly NarrowedPlace[],
  resource: string,
): Placed[] {
  return places
    .filter((place) => place.resource === undefined || place.resource === resource)
    .flatMap((place) => access.flatMap((allowed) => intersect(place, allowed) ?? []));
}

/** Whether access allows all actions, on all types, that a place names. A place that names no types leaves them open. */
export function allows(access: readonly Access[], place: NarrowedPlace): boolean {
  const within = access.filter((allowed) => isPlaceWithin(place, allowed));
  return place.actions.every((action) => {
    const types = within.filter((each) => each.actions.includes(action)).map((each) => each.types);
    const isType = (type: string) => types.some((each) => each?.includes(type) ?? true);
    return types.length > 0 && (place.types ?? []).every(isType);
  });
}

/** @returns undefined where the place is not within what is allowed, or nothing may be done there */
function intersect<Placed extends Access>(place: NarrowedPlace, allowed: Placed): Placed | undefined {
  if (!isPlaceWithin(place, allowed)) return undefined;
  const actions = allowed.actions.filter((action) => place.actions.includes(action));
  const types = intersectTypes(place.types, allowed.types);
  if (actions.length === 0 || types?.length === 0) return undefined;
  return { ...allowed, node: place.node, path: place.path, types, actions };
}

/** Whether a place is the same as another, or in it, as far as can be told without the tree of its API. */
function isPlaceWithin(
  place: Pick<NarrowedPlace, 'workspaceId' | 'node' | 'path'>,
  outer: Pick<Access, 'workspaceId' | 'node' | 'path'>,
): boolean {
  if (place.workspaceId !== outer.workspaceId) return false;
  if (outer.node !== undefined) return place.node === outer.node;
  if (outer.path === undefined) return true;
  return place.path !== undefined && isWithinPath(place.path, outer.path);
}

function intersectTypes(
  one: readonly string[] | undefined,
  other: readonly string[] | undefined,
): string[] | undefined {
  if (one === undefined) return other && [...other];
  return other === undefined ? [...one] : one.filter((type) => other.includes(type));
}
