import type { NamedPlace } from '../../domain/workspaces/pick-places.ts';
import { parseScope } from '../../lib/scopes.ts';
import { displayName } from '../../lib/untrusted-text.ts';

/** Places as templates show them. */

/** Prepares the places of a key or agent for its list: each with its names; without any it is one's own things. */
export function presentPlaces(
  places: readonly NamedPlace[],
): { workspace: string | undefined; in: string | undefined }[] {
  const shown = places.map(({ workspaceName, nodeName, path }) => ({
    workspace: workspaceName === null ? undefined : displayName(workspaceName),
    in: nodeName === null ? (path ?? undefined) : displayName(nodeName),
  }));
  return [...new Map(shown.map((each) => [`${each.workspace} / ${each.in}`, each])).values()];
}

/** Prepares places for a template with what may be done in each, and the workspaces that they are in. */
export function presentGivenPlaces(places: readonly NamedPlace[]) {
  const shown = places.map((place) => ({
    ...presentPlaces([place])[0]!,
    actions: parseScope(place.actions),
    types: place.types?.split(' ') ?? [],
  }));
  return { places: shown, workspaces: [...new Set(shown.map(({ workspace }) => workspace))] };
}
