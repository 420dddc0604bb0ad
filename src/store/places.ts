import type { Tx } from './engine/db.ts';
import type { Role } from './members.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/**
 * Places: a holder may do some actions in a workspace, or at one node or path of it. What a place allows now is also bounded
 * by the role of the account that gave it.
 */

export interface PlaceRow {
  id: string;
  /** The id of a credential, an agent, a consent, or of a client, of which it is an upper bound only. */
  holder: string;
  workspaceId: string;
  /** The URL of the API; null: every one that understands workspaces. */
  resource: string | null;
  nodeId: string | null;
  /** Neither node nor path: the whole workspace. */
  path: string | null;
  /** Space-separated; null: all. */
  types: string | null;
  /** Scopes, space-separated. */
  actions: string;
  /** The account whose role bounds it; the workspace itself: none does. */
  grantedBy: string;
  createdAt: number;
  expiresAt: number | null;
  endedAt: number | null;
  endReason: PlaceEnd | null;
}

export type PlaceEnd =
  | 'revoked'
  | 'replaced'
  | 'member_left'
  | 'member_removed'
  | 'account_deleted'
  | 'node_gone'
  | 'workspace_deleted';

/** What a place allows at this moment. */
export interface EffectivePlaceRow
  extends Pick<
    PlaceRow,
    'id' | 'workspaceId' | 'path' | 'types' | 'actions' | 'grantedBy' | 'createdAt' | 'expiresAt'
  > {
  /** The node as its resource server names it; null where the place is no node. */
  externalId: string | null;
  /** 1: it is on a node. */
  isNode: number;
  /** The role of who gave it; null: no member any more, and the place gives nothing. */
  role: Role | null;
}

export async function insertPlace(tx: Tx, place: Omit<PlaceRow, 'endedAt' | 'endReason'>): Promise<void> {
  await tx.run(
    `INSERT INTO places (id, holder, workspace_id, resource, node_id, path, types, actions, granted_by, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      place.id,
      place.holder,
      place.workspaceId,
      place.resource,
      place.nodeId,
      place.path,
      place.types,
      place.actions,
      place.grantedBy,
      place.createdAt,
      place.expiresAt,
    ],
  );
}

/**
 * Reads what a holder may do now at a resource server. Every introspection of a placed credential runs this statement.
 */
export async function listEffectivePlaces(
  db: Pick<Tx, 'all'>,
  holder: string,
  resource: string,
  now: number,
): Promise<EffectivePlaceRow[]> {
  const rows = await db.all<EffectivePlaceRow>(
    `SELECT p.id, p.workspace_id AS "workspaceId", p.path, p.types, p.actions, p.granted_by AS "grantedBy",
       p.created_at AS "createdAt", p.expires_at AS "expiresAt", CASE WHEN p.node_id IS NULL THEN 0 ELSE 1 END AS "isNode",
       (SELECT external_id FROM nodes n WHERE n.id = p.node_id AND n.ended_at IS NULL) AS "externalId",
       CASE WHEN p.granted_by = p.workspace_id THEN 'owner' ELSE (SELECT role FROM members m
         WHERE m.workspace_id = p.workspace_id AND m.account_id = p.granted_by AND m.ended_at IS NULL) END AS role
     FROM places p WHERE p.holder = ? AND p.ended_at IS NULL AND (p.resource IS NULL OR p.resource = ?)
       AND (p.expires_at IS NULL OR p.expires_at > ?)`,
    [holder, resource, now],
  );
  // Sorted here: with ORDER BY it takes SQLite six times as long, although its index has the order.
  return rows.sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** A workspace in which a holder may do something now. */
export interface ReachedPlaceRow extends Pick<PlaceRow, 'workspaceId' | 'actions'> {
  /** Null: a personal workspace. */
  name: string | null;
  /** The role of who gave it; null: it gives nothing, unless it is in their personal workspace. */
  role: Role | null;
}

/** Lists where a holder may do what now, at all APIs. */
export function listReachedPlaces(
  db: Pick<Tx, 'all'>,
  holder: string,
  now: number,
): Promise<ReachedPlaceRow[]> {
  return db.all(
    `SELECT p.workspace_id AS "workspaceId", p.actions,
       (SELECT name FROM workspaces w WHERE w.id = p.workspace_id) AS name,
       (SELECT role FROM members m
         WHERE m.workspace_id = p.workspace_id AND m.account_id = p.granted_by AND m.ended_at IS NULL) AS role
     FROM places p WHERE p.holder = ? AND p.ended_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > ?)
       AND (p.node_id IS NULL OR EXISTS (SELECT 1 FROM nodes n WHERE n.id = p.node_id AND n.ended_at IS NULL))
     ORDER BY p.id`,
    [holder, now],
  );
}

/** Lists the places of a holder that have not ended, in the order in which they were given. */
export function listPlacesOf(db: Pick<Tx, 'all'>, holder: string): Promise<PlaceRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM places WHERE holder = ? AND ended_at IS NULL ORDER BY id`, [holder]);
}

/** Locks the places of an agent, and those of what was granted to it, before the agent itself is locked. */
export function lockPlacesOfAgent(tx: Tx, agentId: string): Promise<number> {
  return tx.run(
    `UPDATE places SET holder = holder WHERE ended_at IS NULL
       AND holder IN (SELECT CAST(? AS TEXT) UNION ALL SELECT id FROM permission_grants WHERE agent_id = ?)`,
    [agentId, agentId],
  );
}

/** Lists all places that a holder has or had. */
export function listPlaceHistory(db: Pick<Tx, 'all'>, holder: string): Promise<PlaceRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM places WHERE holder = ? ORDER BY id`, [holder]);
}

/** A place with the names that people know it by. */
export interface NamedPlaceRow extends PlaceRow {
  /** Null: it is in a personal workspace. */
  workspaceName: string | null;
  /** Null: it is on no node. */
  nodeName: string | null;
}

/** Lists, for a page of keys, agents or apps, the places that they have or had. */
export function listNamedPlaces(db: Pick<Tx, 'all'>, holders: readonly string[]): Promise<NamedPlaceRow[]> {
  return db.all(
    `SELECT ${COLUMNS}, (SELECT name FROM workspaces w WHERE w.id = p.workspace_id) AS "workspaceName",
       (SELECT name FROM nodes n WHERE n.id = p.node_id) AS "nodeName"
     FROM places p WHERE holder IN (${PAGE_MARKS}) ORDER BY id`,
    pageIds(holders),
  );
}

/** Lists the places that an account gave in a workspace and that have not ended. */
export function listPlacesOfGranter(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  accountId: string,
): Promise<PlaceRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM places WHERE workspace_id = ? AND granted_by = ? AND ended_at IS NULL ORDER BY id`,
    [workspaceId, accountId],
  );
}

/** Ends one place; of concurrent calls, one returns 1. */
export function updatePlaceEnded(tx: Tx, id: string, now: number, reason: PlaceEnd): Promise<number> {
  return tx.run('UPDATE places SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL', [
    now,
    reason,
    id,
  ]);
}

/** Changes what may be done in a place that has not ended. */
export function updatePlaceActions(tx: Tx, id: string, actions: string): Promise<number> {
  return tx.run('UPDATE places SET actions = ? WHERE id = ? AND ended_at IS NULL', [actions, id]);
}

/** Ends the places of a holder in one workspace. @returns what it had there */
export function updatePlacesOfHolderInEnded(
  tx: Tx,
  holder: string,
  workspaceId: string,
  now: number,
  reason: PlaceEnd,
): Promise<EndedPlace[]> {
  return tx.all(
    `UPDATE places SET ended_at = ?, end_reason = ?
     WHERE holder = ? AND workspace_id = ? AND ended_at IS NULL ${RETURNING_ENDED}`,
    [now, reason, holder, workspaceId],
  );
}

/** Ends the places of a holder. @returns what it had */
export function updatePlacesOfHolderEnded(
  tx: Tx,
  holder: string,
  now: number,
  reason: PlaceEnd,
): Promise<EndedPlace[]> {
  return tx.all(
    `UPDATE places SET ended_at = ?, end_reason = ? WHERE holder = ? AND ended_at IS NULL ${RETURNING_ENDED}`,
    [now, reason, holder],
  );
}

/** Ends what bounds a client, and forgets what bounded it once and ended otherwise. */
export function updateBoundReplaced(tx: Tx, clientId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE places SET ended_at = COALESCE(ended_at, ?), end_reason = 'replaced'
     WHERE holder = ? AND (end_reason IS NULL OR end_reason <> 'replaced')`,
    [now, clientId],
  );
}

/** Ends the places that an account gave in a workspace. @returns whose they were */
export function updatePlacesOfGranterEnded(
  tx: Tx,
  workspaceId: string,
  accountId: string,
  now: number,
  reason: PlaceEnd,
): Promise<EndedPlace[]> {
  return tx.all(
    `UPDATE places SET ended_at = ?, end_reason = ?
     WHERE workspace_id = ? AND granted_by = ? AND ended_at IS NULL ${RETURNING_ENDED}`,
    [now, reason, workspaceId, accountId],
  );
}

/** Ends all places of a workspace that ends. @returns whose they were */
export function updatePlacesOfWorkspaceEnded(
  tx: Tx,
  workspaceId: string,
  now: number,
): Promise<EndedPlace[]> {
  return tx.all(
    `UPDATE places SET ended_at = ?, end_reason = 'workspace_deleted'
     WHERE workspace_id = ? AND ended_at IS NULL ${RETURNING_ENDED}`,
    [now, workspaceId],
  );
}

/** Ends the places on nodes of a tree that have ended. @returns whose they were */
export function updatePlacesOnEndedNodesEnded(
  tx: Tx,
  { resource, workspaceId }: { resource: string; workspaceId: string },
  now: number,
): Promise<EndedPlace[]> {
  return tx.all(
    `UPDATE places SET ended_at = ?, end_reason = 'node_gone'
     WHERE workspace_id = ? AND resource = ? AND node_id IS NOT NULL AND ended_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = places.node_id AND n.ended_at IS NULL) ${RETURNING_ENDED}`,
    [now, workspaceId, resource],
  );
}

/** Counts the keys that work and have a live place in a workspace. */
export async function countKeysPlacedIn(
  db: Pick<Tx, 'get'>,
  workspaceId: string,
  now: number,
): Promise<number> {
  const row = await db.get<{ keys: number }>(
    `SELECT COUNT(DISTINCT holder) AS keys FROM places WHERE workspace_id = ? AND ended_at IS NULL
       AND (expires_at IS NULL OR expires_at > ?) AND EXISTS (SELECT 1 FROM credentials c
         WHERE c.id = places.holder AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?))`,
    [workspaceId, now, now],
  );
  return row!.keys;
}

/** A place that an update ended. */
export type EndedPlace = Pick<PlaceRow, 'id' | 'holder' | 'workspaceId'>;

const RETURNING_ENDED = `RETURNING id, holder, workspace_id AS "workspaceId"`;
const COLUMNS = `id, holder, workspace_id AS "workspaceId", resource, node_id AS "nodeId", path, types, actions,
  granted_by AS "grantedBy", created_at AS "createdAt", expires_at AS "expiresAt", ended_at AS "endedAt",
  end_reason AS "endReason"`;
