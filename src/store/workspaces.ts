import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** Shared workspaces. A personal workspace has no row: its id is that of its account. */

export interface WorkspaceRow {
  id: string;
  name: string;
  createdBy: string;
  createdAt: number;
  endedAt: number | null;
}

export async function insertWorkspace(tx: Tx, workspace: Omit<WorkspaceRow, 'endedAt'>): Promise<void> {
  await tx.run('INSERT INTO workspaces (id, name, created_by, created_at) VALUES (?, ?, ?, ?)', [
    workspace.id,
    workspace.name,
    workspace.createdBy,
    workspace.createdAt,
  ]);
}

/**
 * Locks a workspace: until the transaction ends nobody joins or leaves it, changes a role, or gives a place there.
 *
 * @returns undefined if there is none, or it has ended
 */
export function lockWorkspace(tx: Tx, id: string): Promise<WorkspaceRow | undefined> {
  return tx.get(`UPDATE workspaces SET name = name WHERE id = ? AND ended_at IS NULL RETURNING ${COLUMNS}`, [
    id,
  ]);
}

/** Finds a workspace that has not ended. */
export function findWorkspace(db: Pick<Tx, 'get'>, id: string): Promise<WorkspaceRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM workspaces WHERE id = ? AND ended_at IS NULL`, [id]);
}

/** Sets the name of a workspace that the caller has locked. */
export async function updateWorkspaceName(tx: Tx, id: string, name: string): Promise<void> {
  await tx.run('UPDATE workspaces SET name = ? WHERE id = ?', [name, id]);
}

/** Ends a workspace; of concurrent calls, one returns 1. */
export function updateWorkspaceEnded(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE workspaces SET ended_at = ? WHERE id = ? AND ended_at IS NULL', [now, id]);
}

/**
 * Whether an account is shown workspaces: a resource server understands them, or it is in one. Literally what a session
 * reads (sessions.ts).
 */
export async function isOfferedWorkspaces(db: Pick<Tx, 'get'>, accountId: string): Promise<boolean> {
  const row = await db.get<{ isOffered: number }>(`SELECT ${offersWorkspaces('?')} AS "isOffered"`, [
    accountId,
  ]);
  return row!.isOffered === 1;
}

/** An expression: 1 where an account is shown workspaces. */
export function offersWorkspaces(accountId: string): string {
  return `CASE WHEN EXISTS (SELECT 1 FROM resource_servers WHERE workspaces = 1 AND removed_at IS NULL)
    OR EXISTS (SELECT 1 FROM members m WHERE m.account_id = ${accountId} AND m.ended_at IS NULL) THEN 1 ELSE 0 END`;
}

/** Finds the names of the workspaces of a page, by id, ended ones included. */
export async function listWorkspaceNames(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, string>> {
  const rows = await db.all<{ id: string; name: string }>(
    `SELECT id, name FROM workspaces WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/**
 * Lists workspaces after an id, ended ones included.
 *
 * @param connectedTo the URL of a resource server: only those that it tells a tree of, or has a place in; undefined: all
 */
export function listWorkspacesAfter(
  db: Pick<Db, 'all'>,
  after: string,
  connectedTo: string | undefined,
  limit: number,
): Promise<WorkspaceRow[]> {
  const isConnected =
    connectedTo === undefined
      ? ''
      : ` AND ((SELECT 1 FROM trees t WHERE t.resource = ? AND t.workspace_id = w.id) = 1
            OR (SELECT 1 FROM places p WHERE p.workspace_id = w.id AND (p.resource IS NULL OR p.resource = ?)
              AND p.ended_at IS NULL LIMIT 1) = 1)`;
  return db.all(`SELECT ${COLUMNS} FROM workspaces w WHERE w.id > ?${isConnected} ORDER BY w.id LIMIT ?`, [
    after,
    ...(connectedTo === undefined ? [] : [connectedTo, connectedTo]),
    limit,
  ]);
}

const COLUMNS = `id, name, created_by AS "createdBy", created_at AS "createdAt", ended_at AS "endedAt"`;
