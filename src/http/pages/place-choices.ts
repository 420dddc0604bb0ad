import type { Offer } from '../../domain/apps/offers.ts';
import type { PlaceChoice } from '../../domain/apps/place-choices.ts';
import { displayName } from '../../lib/untrusted-text.ts';

/** The part "Where it works" of the page on which a human decides about an app. */

/**
 * Prepares the places for the template. A shared workspace that the app does not have is never ticked beforehand, and where the
 * app asks for something destructive none is.
 *
 * @param ticks the names of the boxes that the human ticked before; undefined: the page is new
 * @returns undefined: there is nothing to choose
 */
export function presentChoices({ where, scopes }: Offer, ticks: readonly string[] | undefined) {
  if (!where.isShown) return undefined;
  const hasAny = where.choices.some(({ isHeld }) => isHeld);
  const isDestructive = scopes.some((scope) => scope.isAsked && scope.isDestructive);
  const isOnAtFirst = ({ isOwn, isAsked, isHeld }: PlaceChoice) =>
    isOwn ? isHeld || (isAsked && !hasAny) : isHeld && !isDestructive;
  return where.choices.map((choice) => ({
    name: choice.name,
    isOwn: choice.isOwn,
    workspace: choice.workspaceName === undefined ? undefined : displayName(choice.workspaceName),
    role: choice.role,
    node: choice.nodeName === undefined ? undefined : displayName(choice.nodeName),
    path: choice.path ?? undefined,
    types: choice.types?.split(' ') ?? [],
    actions: choice.actions ?? [],
    isHeld: choice.isHeld,
    isTaken: choice.isHeld && !isOnAtFirst(choice),
    isOn: ticks ? ticks.includes(`place:${choice.name}`) : isOnAtFirst(choice),
  }));
}
