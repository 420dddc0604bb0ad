import type { Db } from './engine/db.ts';
import { type CreationPlace, startsWith, type WindowedSearch, windowedEnd, windowedRows } from './pages.ts';
import type { WorkspaceRow } from './workspaces.ts';

/** Statements by which operators look through all shared workspaces, newest first. */

export type WorkspaceStatus = 'active' | 'ended';

/** Selects workspaces: each member narrows the selection. */
export interface WorkspaceSearch {
  /** The canonical mailbox of a member. */
  mailbox?: string | undefined;
  /** The account of a member. */
  accountId?: string | undefined;
  /** The start of a name, in any case, or of an id. */
  nameStart?: string | undefined;
  status?: WorkspaceStatus | undefined;
}

export interface FoundWorkspaceRow extends WorkspaceRow {
  members: number;
}

/** Lists workspaces that were created before a place, among the first that a page looks through. */
export function listWorkspacesFound(
  db: Pick<Db, 'all'>,
  search: WorkspaceSearch,
  before: CreationPlace | undefined,
  limit: number,
): Promise<FoundWorkspaceRow[]> {
  const { sql, params } = windowedRows(toWindowed(search, before), COLUMNS, limit);
  return db.all(sql, params);
}

/** Finds the last workspace that listWorkspacesFound() looked at; undefined: it came to the end. */
export function findWorkspaceWindowEnd(
  db: Pick<Db, 'get'>,
  search: WorkspaceSearch,
  before: CreationPlace | undefined,
): Promise<CreationPlace | undefined> {
  const { sql, params } = windowedEnd(toWindowed(search, before));
  return db.get(sql, params);
}

/** Finds one workspace as listWorkspacesFound() does, also after it has ended. */
export function findWorkspaceFound(db: Pick<Db, 'get'>, id: string): Promise<FoundWorkspaceRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM workspaces found WHERE id = ?`, [id]);
}

const COLUMNS = `id, name, created_by AS "createdBy", created_at AS "createdAt", ended_at AS "endedAt",
  (SELECT COUNT(*) FROM members m WHERE m.workspace_id = found.id AND m.ended_at IS NULL) AS members`;

const STATUSES: Record<WorkspaceStatus, string> = {
  active: ' AND ended_at IS NULL',
  ended: ' AND ended_at IS NOT NULL',
};

function toWindowed(
  { mailbox, accountId, nameStart, status }: WorkspaceSearch,
  before: CreationPlace | undefined,
): WindowedSearch {
  return {
    table: 'workspaces',
    range: [
      ...(mailbox === undefined
        ? []
        : [{ sql: ofMember('(SELECT id FROM accounts WHERE mailbox = ?)'), params: [mailbox] }]),
      ...(accountId === undefined ? [] : [{ sql: ofMember('(?)'), params: [accountId] }]),
    ],
    filters: [
      startsWith(nameStart, { name: 'name', id: 'id' }),
      ...(status === undefined ? [] : [{ sql: STATUSES[status], params: [] }]),
    ],
    before,
  };
}

function ofMember(accounts: string): string {
  return ` AND id IN (SELECT workspace_id FROM members WHERE account_id IN ${accounts} AND ended_at IS NULL)`;
}
