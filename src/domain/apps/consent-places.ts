import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { formatScope, isSubset, parseScope } from '../../lib/scopes.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { OAuthGrantRow } from '../../store/oauth-grants.ts';
import {
  listPlacesOf,
  type PlaceRow,
  updatePlaceActions,
  updatePlacesOfHolderEnded,
} from '../../store/places.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { ownAccount, type PlacedAccess, readConsentAccess } from '../credentials/placed-access.ts';
import { type AllowedPlace, allowPlaces, givePlaces, type PlaceRequest } from '../workspaces/give-places.ts';
import { replaceSomePlaces } from '../workspaces/places.ts';
import { mayApproveApps } from '../workspaces/roles.ts';
import { actionsWithinBound, readClientBound } from './client-bounds.ts';

/**
 * The places of consents. The consent is their holder, never the client: what one human lets an app do gives it nothing for
 * another one. A consent without places is for the account of the human alone.
 */

/**
 * Checks places that a human wants to let an app work in, and locks what they depend on. The caller locks the account afterwards.
 *
 * @param places none: the human's own things alone
 * @throws Failure as allowPlaces(); `forbidden` for what the client was registered without
 */
export async function allowConsentPlaces(
  work: Work,
  given: { accountId: string; clientId: string; resource: string | null; scopes: readonly string[] },
  places: readonly PlaceRequest[],
): Promise<AllowedPlace[]> {
  const { accountId, resource, scopes } = given;
  if (resource === null) return [];
  const allowed = places.length === 0 ? [] : await allowPlaces(work, accountId, places, mayApproveApps);
  if (scopes.length > 0 && !(await isWithinBound(work.tx, given, allowed))) {
    throw new Failure('forbidden', 'This app was registered for other places.');
  }
  return allowed;
}

/**
 * Whether what a consent allows is within the bound of its client.
 *
 * @param places none: the human's own things alone
 */
export async function isWithinBound(
  db: Pick<Tx, 'get' | 'all'>,
  given: { accountId: string; clientId: string; resource: string | null; scopes: readonly string[] },
  places: readonly AllowedPlace[],
): Promise<boolean> {
  const { accountId, clientId, resource, scopes } = given;
  const bound = resource === null ? undefined : await readClientBound(db, clientId);
  if (bound === undefined) return true;
  const actions = formatScope(scopes);
  const own = { workspaceId: accountId, nodeId: null, path: null, types: null, actions };
  for (const place of places.length === 0 ? [own] : places) {
    const most = await actionsWithinBound(db, bound, place, accountId, resource!);
    if (most === undefined || !isSubset(parseScope(place.actions), most)) return false;
  }
  return true;
}

/**
 * Gives a consent the places of a new decision instead of those that it has. What it keeps stays the same place: tokens so far
 * reach nothing new.
 *
 * @param held the scopes that it had; undefined: it was just inserted
 * @returns whether it can do less somewhere than before
 */
export async function replaceConsentPlaces(
  work: Work,
  id: string,
  accountId: string,
  next: readonly AllowedPlace[],
  held: readonly string[] | undefined,
): Promise<boolean> {
  const { tx } = work;
  const before = held === undefined ? [] : await listPlacesOf(tx, id);
  const wanted = new Map(next.map((place) => [keyOf(place), place]));
  const kept = new Map(before.map((place) => [keyOf(place), place]));
  await givePlaces(
    work,
    id,
    accountId,
    next.filter((place) => !kept.has(keyOf(place))),
  );
  let isLess = held !== undefined && before.length === 0 && !keepsAccount(next, accountId, held);
  const dropped: PlaceRow[] = [];
  for (const place of before) {
    const to = wanted.get(keyOf(place));
    if (to === undefined) {
      dropped.push(place);
      isLess = true;
    } else if (to.actions !== place.actions) {
      await updatePlaceActions(tx, place.id, to.actions);
      isLess ||= !isSubset(parseScope(place.actions), parseScope(to.actions));
    }
  }
  await replaceSomePlaces(work, dropped, accountId);
  return isLess;
}

/** Reads where an app may do what now, as it is told: in the places of a consent, or in the account of who gave it. */
export async function readWhere(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  { id, accountId, resource, scope }: Pick<OAuthGrantRow, 'id' | 'accountId' | 'resource' | 'scope'>,
  scopes: readonly string[] = parseScope(scope),
): Promise<PlacedAccess[]> {
  if (resource === null) return [];
  if ((await listPlacesOf(deps.db, id)).length > 0) return readConsentAccess(deps, id, resource, scopes);
  const actions = scopes.filter((name) => parseScope(scope).includes(name));
  return ownAccount(accountId, actions);
}

/** Ends the places of a consent that the caller ends afterwards, without another word about the consent itself. */
export async function endConsentPlaces(work: Work, id: string): Promise<void> {
  const { tx, now } = work;
  const ended = await updatePlacesOfHolderEnded(tx, id, now, 'revoked');
  for (const [workspaceId, places] of Map.groupBy(ended, (place) => place.workspaceId)) {
    const details = { places: places.length, holders: 1, reason: 'revoked' };
    await recordEvent(work, { kind: 'place.ended', workspaceId, subject: id, details });
  }
}

function keyOf({ workspaceId, resource, nodeId, path, types }: AllowedPlace): string {
  return JSON.stringify([workspaceId, resource, nodeId, path, types]);
}

/** Whether an app that had the account of a human keeps it. */
function keepsAccount(next: readonly AllowedPlace[], accountId: string, held: readonly string[]): boolean {
  const isAccount = ({ workspaceId, nodeId, path, types, actions }: AllowedPlace) =>
    workspaceId === accountId &&
    nodeId === null &&
    path === null &&
    types === null &&
    isSubset(held, parseScope(actions));
  return next.length === 0 || next.some(isAccount);
}
