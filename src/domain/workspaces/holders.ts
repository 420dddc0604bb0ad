import type { Deps } from '../../deps.ts';
import { type ListMark, type ListPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { parseScope } from '../../lib/scopes.ts';
import { listNamedAccounts } from '../../store/accounts.ts';
import { type HolderKind, listHolderPage } from '../../store/workspace-holders.ts';
import { nameToOthers } from '../accounts/account-name.ts';
import { listPlacesOfHolders, type NamedPlace } from './pick-places.ts';
import { isManager } from './roles.ts';
import type { Participant } from './workspace-activity.ts';
import type { Membership } from './workspaces.ts';

/** The agents and apps that members let into a workspace. */

/** An agent or app with places in a workspace. */
export interface Holder {
  /** The id of the agent, of what was granted to a request of one, or of what the member lets the app do. */
  id: string;
  /** As somebody wrote it; undefined: it has none. */
  name: string | undefined;
  /** Who let it in. */
  by: Participant;
  /** Epoch ms. */
  since: number;
  /** Its places in this workspace. */
  places: NamedPlace[];
  /** What it may do in one of them at least, as it was given. */
  scopes: string[];
}

/**
 * Lists a page of the agents or apps that work in a workspace, newest first: to owners and admins all, to others those
 * that they let in themselves.
 *
 * @param reader the membership of the reader
 */
export async function listHoldersIn(
  deps: Pick<Deps, 'db' | 'clock'>,
  kind: HolderKind,
  { workspaceId, accountId, role }: Membership,
  { at, rows }: { at?: ListMark | undefined; rows?: number } = {},
): Promise<ListPage<Holder>> {
  const { db, clock } = deps;
  const selection = {
    workspaceId,
    kind,
    grantedBy: isManager(role) ? undefined : accountId,
    now: clock(),
  };
  const page = await readPage(
    parseIdMark(at),
    rows,
    (place, limit) => listHolderPage(db, selection, place, limit),
    (holder) => holder.id,
  );
  const [places, accounts] = await Promise.all([
    listPlacesOfHolders(
      deps,
      page.items.map(({ id }) => id),
    ),
    listNamedAccounts(db, [...new Set(page.items.map(({ grantedBy }) => grantedBy))]),
  ]);
  const items = page.items.map(({ id, name, grantedBy, givenAt }) => {
    const here = (places.get(id) ?? []).filter((place) => place.workspaceId === workspaceId);
    return {
      id,
      name: name ?? undefined,
      by: { isYou: grantedBy === accountId, name: nameToOthers(accounts.get(grantedBy)) },
      since: givenAt,
      places: here,
      scopes: [...new Set(here.flatMap(({ actions }) => parseScope(actions)))],
    };
  });
  return { ...page, items };
}
