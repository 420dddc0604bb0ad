import type { Deps } from '../../deps.ts';
import { listMemberships } from '../../store/members.ts';
import { listNodesById, listNodesNamed, listNodesOfWorkspace, type NodeRow } from '../../store/nodes.ts';
import { listNamedPlaces, type NamedPlaceRow } from '../../store/places.ts';
import { mayIssueKeys, type Role } from './roles.ts';

/** What people choose places from, and where what they gave holds. */

/** A workspace that an account may give access to. */
export interface GivableWorkspace {
  id: string;
  name: string;
  role: Role;
  /** Some of its nodes: all if they are few, else those that are searched for. Parents stand among them where they are few. */
  nodes: readonly NodeRow[];
  /** Whether it has more nodes than are listed. */
  hasMore: boolean;
}

/** How many nodes a page shows as a tree. */
const NODES_SHOWN = 200;

/**
 * Lists the workspaces that an account may give access to, with their nodes.
 *
 * @param search what nodes of large workspaces are searched for
 */
export async function listGivableWorkspaces(
  { db, config }: Pick<Deps, 'db' | 'config'>,
  accountId: string,
  search: string,
): Promise<GivableWorkspace[]> {
  const memberships = await listMemberships(db, accountId);
  const workspaces: GivableWorkspace[] = [];
  for (const { workspaceId: id, name, role } of memberships) {
    if (!mayIssueKeys(config, role)) continue;
    let nodes = await listNodesOfWorkspace(db, id, NODES_SHOWN + 1);
    const hasMore = nodes.length > NODES_SHOWN;
    if (hasMore) nodes = search === '' ? [] : await listNodesNamed(db, id, search, NODES_SHOWN);
    workspaces.push({ id, name, role, nodes, hasMore });
  }
  return workspaces;
}

/** Finds nodes that somebody chose, ended ones included. */
export function findChosenNodes({ db }: Pick<Deps, 'db'>, ids: readonly string[]): Promise<NodeRow[]> {
  return listNodesById(db, ids);
}

/** A place as the list of a person shows it. */
export type NamedPlace = Pick<
  NamedPlaceRow,
  | 'workspaceId'
  | 'workspaceName'
  | 'nodeId'
  | 'nodeName'
  | 'path'
  | 'types'
  | 'actions'
  | 'resource'
  | 'endedAt'
>;

/**
 * Lists the places of what is on a page, by holder. Of what has ended, those that it had at last.
 *
 * @param holders ids of keys, agents or consents, no more than a page has
 */
export async function listPlacesOfHolders(
  { db }: Pick<Deps, 'db'>,
  holders: readonly string[],
): Promise<Map<string, NamedPlace[]>> {
  if (holders.length === 0) return new Map();
  const rows = await listNamedPlaces(db, holders);
  const shown = new Map<string, NamedPlace[]>();
  for (const [holder, places] of Map.groupBy(rows, (row) => row.holder)) {
    const live = places.filter(({ endedAt }) => endedAt === null);
    shown.set(holder, live.length > 0 ? live : places);
  }
  return shown;
}
