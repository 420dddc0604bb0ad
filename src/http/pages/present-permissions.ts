import type { Deps } from '../../deps.ts';
import { describeGrants, listHolderNames } from '../../domain/permissions/grants.ts';
import type { RequestReview } from '../../domain/permissions/review.ts';
import { listPlacesOfHolders } from '../../domain/workspaces/pick-places.ts';
import { displayName, singleLine } from '../../lib/untrusted-text.ts';
import type { PermissionGrantRow } from '../../store/permission-grants.ts';
import { presentPlaces } from './present-places.ts';

/** Prepares permission requests and grants for templates. Texts of agents are untrusted, see lib/untrusted-text.ts. */

/** Prepares grants for a list: who has them, what they allow, and until when. */
export async function presentGrants(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  rows: readonly PermissionGrantRow[],
) {
  const shown = rows.slice(0, 50);
  const [grants, places, names] = await Promise.all([
    describeGrants(deps, shown),
    listPlacesOfHolders(
      deps,
      shown.map(({ id }) => id),
    ),
    listHolderNames(deps, shown),
  ]);
  return grants.map(({ row, artifact }) => ({
    id: row.id,
    agentId: row.agentId ?? undefined,
    name: displayName(names.get(row.agentId ?? '') ?? ''),
    isTerminal: row.agentId === null,
    isByTerminal: row.grantedWith !== null,
    action: artifact.action && singleLine(artifact.action, 300),
    isSpent: row.spentAt !== null,
    scopes: [...new Set(artifact.permissions.flatMap(({ actions }) => actions))].toSorted(),
    places: presentPlaces(places.get(row.id) ?? []),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
  }));
}

/** A length of time that can be chosen. */
export interface LifeChoice {
  seconds: number;
  isRequested: boolean;
  isOn: boolean;
}

const HOUR = 3600;
const DAY = 86_400;
const LIVES = [HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY];

/** Lists the lives that can be chosen: what was asked for, and less. @param typed as it was sent */
export function presentLives(
  asked: number,
  typed: string | undefined,
  more: readonly number[] = [],
): LifeChoice[] {
  const shorter = [...LIVES, ...more].filter((seconds) => seconds < asked);
  const all = [...shorter.toSorted((left, right) => left - right), asked];
  const chosen = all.find((seconds) => String(seconds) === typed) ?? asked;
  return all.map((seconds) => ({ seconds, isRequested: seconds === asked, isOn: seconds === chosen }));
}

/**
 * Prepares a request for its template. What is wide or cannot be undone is off until the human turns it on.
 *
 * @param typed the fields of the form as they were sent; undefined: nothing was sent yet
 */
export function presentReview(
  review: RequestReview,
  typed: Readonly<Record<string, string | undefined>> | undefined,
) {
  const { permissions, workspaces } = review;
  return {
    ...review,
    name: displayName(review.name ?? ''),
    action: review.action && singleLine(review.action, 300),
    isChoosing: permissions.some(({ workspace }) => workspace === undefined),
    permissions: permissions.map(({ path, node, workspace, service, actions, isWide, ...each }) => ({
      ...each,
      isWide,
      service: service && displayName(service),
      path: path && singleLine(path, 512),
      node: node && displayName(node),
      workspace: workspace && { ...workspace, name: displayName(workspace.name ?? '') },
      isOffered: workspace?.mayGive !== false,
      actions: actions.map((action) => ({
        ...action,
        field: `may:${each.index}:${action.action}`,
        isOn:
          typed === undefined
            ? !isWide && !action.isDestructive
            : `may:${each.index}:${action.action}` in typed,
      })),
    })),
    reasons: [...new Set(permissions.flatMap(({ reason }) => (reason ? [singleLine(reason, 300)] : [])))],
    workspaces: workspaces.map(({ id, name }) => ({
      id,
      name: name && displayName(name),
      isOn: workspaces.length === 1 || typed?.workspace === id,
    })),
    lives: presentLives(review.lifetimeSeconds, typed?.life),
  };
}
