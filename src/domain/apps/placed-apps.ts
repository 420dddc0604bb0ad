import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { listAppsPlacedIn } from '../../store/connected-apps.ts';
import { findOAuthGrant } from '../../store/oauth-grants.ts';
import { listPlacesOf } from '../../store/places.ts';
import { lockWorkspace } from '../../store/workspaces.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';
import { listPlacesOfHolders, type NamedPlace } from '../workspaces/pick-places.ts';
import { endPlacesOfHolderIn } from '../workspaces/places.ts';
import { isManager } from '../workspaces/roles.ts';
import { lockWorkspaceAs, roleForbids } from '../workspaces/workspaces.ts';
import { type ConnectedApp, toConnectedApp } from './connected-apps.ts';

/** Apps in workspaces: who let them in, and how their places end. */

/** An app that works in a workspace. */
export interface PlacedApp extends ConnectedApp {
  /** Who let it in: masked; undefined: the account has ended. */
  mailbox: string | undefined;
  isYou: boolean;
  /** Those in this workspace. */
  places: NamedPlace[];
}

const APPS_SHOWN = 50;

/** Lists the newest apps that work in a workspace. The caller has checked that the reader manages it. */
export async function listPlacedApps(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  workspaceId: string,
  readerId: string,
): Promise<PlacedApp[]> {
  const rows = await listAppsPlacedIn(db, workspaceId, clock(), APPS_SHOWN);
  const places = await listPlacesOfHolders(
    { db },
    rows.map(({ id }) => id),
  );
  return rows.map((row) => ({
    ...toConnectedApp(config, row),
    mailbox: row.mailbox === null ? undefined : maskMailbox(row.mailbox),
    isYou: row.accountId === readerId,
    places: (places.get(row.id) ?? []).filter((place) => place.workspaceId === workspaceId),
  }));
}

/**
 * Ends the places of an app in a workspace, as an owner or admin of it. An app that has no other place is disconnected.
 *
 * @param id of the consent
 * @throws Failure `notFound` for a workspace that is not one's own, and for an app that has no place there; `forbidden`
 */
export async function endAppInWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (!isManager(role)) throw roleForbids();
    const { places } = await endPlacesOfHolderIn(work, id, workspaceId, accountId);
    if (places === 0 || !id.startsWith('con_')) throw appNotFound();
  });
}

/**
 * Ends the places in one workspace of an app that an account let in. One that has no other place is disconnected.
 *
 * @param id of the consent
 * @throws Failure `notFound`, also for a consent of another account (S-29)
 */
export async function endOwnAppIn(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  id: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const consent = await findOAuthGrant(work.tx, id);
    if (consent?.accountId !== accountId) throw appNotFound();
    const places = await listPlacesOf(work.tx, id);
    if (!places.some((place) => place.workspaceId === workspaceId)) throw appNotFound();
    await lockWorkspace(work.tx, workspaceId);
    await endPlacesOfHolderIn(work, id, workspaceId, accountId);
  });
}

function appNotFound(): Failure {
  return new Failure('notFound', 'There is no such app.');
}
