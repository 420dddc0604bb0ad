import type { Deps } from '../../deps.ts';
import { type InvitationRow, listInvitationsFrom, listInvitationsTo } from '../../store/invitations.ts';
import { listMemberships } from '../../store/members.ts';
import { listNodesById, type NodeRow } from '../../store/nodes.ts';
import { listPlacesOfGranter, type PlaceRow } from '../../store/places.ts';
import { type ExportedAppKeyRow, listAppKeysOfAccount } from '../../store/workspace-keys.ts';

/** What is stored of an account in workspaces, for its export. */

/** How many invitations each way an export has. */
const EXPORTED_MAX = 10_000;

/** Lists the invitations that an account sent, and those that its mailbox received, oldest first. */
export async function listInvitationsOfAccount(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  mailbox: string,
): Promise<{ sent: InvitationRow[]; received: InvitationRow[] }> {
  const [sent, received] = await Promise.all([
    listInvitationsFrom(db, accountId, EXPORTED_MAX),
    listInvitationsTo(db, mailbox, EXPORTED_MAX),
  ]);
  return { sent, received };
}

/** A place that an account gave. */
export interface GivenPlace extends PlaceRow {
  /** The thing that it is on, as its API names it. */
  node: Pick<NodeRow, 'externalId' | 'name'> | undefined;
}

/** Lists the places that an account gave, in its own workspace and those that it is in. */
export async function listPlacesGivenBy({ db }: Pick<Deps, 'db'>, accountId: string): Promise<GivenPlace[]> {
  const memberships = await listMemberships(db, accountId);
  const workspaceIds = [...memberships.map(({ workspaceId }) => workspaceId), accountId];
  const places = (await Promise.all(workspaceIds.map((id) => listPlacesOfGranter(db, id, accountId)))).flat();
  const nodeIds = new Set(places.flatMap(({ nodeId }) => nodeId ?? []));
  const nodes = new Map((await listNodesById(db, [...nodeIds])).map((node) => [node.id, node]));
  return places.map((place) => ({ ...place, node: nodes.get(place.nodeId ?? '') }));
}

/** Lists the keys of things for which an account answers, oldest first. */
export function listAppKeysMadeBy({ db }: Pick<Deps, 'db'>, accountId: string): Promise<ExportedAppKeyRow[]> {
  return listAppKeysOfAccount(db, accountId);
}
