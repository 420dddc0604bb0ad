import type { ListPlace } from '../lib/list-pages.ts';
import type { Db } from './engine/db.ts';
import { type Part, startsWith } from './pages.ts';
import type { WorkspaceRow } from './workspaces.ts';

/** Statements by which operators look through all shared workspaces, newest first. */

/** How many workspaces a page looks through at most: see agent-search.ts. */
const WINDOW_ROWS = 10_000;

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

/** The creation of a workspace, from which a page goes on: those that were created before it. */
type Place = Pick<ListPlace<number>, 'key' | 'id'>;

/** Lists workspaces that were created before a place, among the first that a page looks through. */
export function listWorkspacesFound(
  db: Pick<Db, 'all'>,
  search: WorkspaceSearch,
  before: Place | undefined,
  limit: number,
): Promise<FoundWorkspaceRow[]> {
  const where = conditions(search);
  const rows = windowOf(search, before);
  return db.all(
    `SELECT ${COLUMNS} FROM (${rows.sql} LIMIT ?) w
     WHERE 1 = 1${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`,
    [...rows.params, where.sql === '' ? limit : WINDOW_ROWS, ...where.params, limit],
  );
}

/** Finds the last workspace that listWorkspacesFound() looked at; undefined: it came to the end. */
export function findWorkspaceWindowEnd(
  db: Pick<Db, 'get'>,
  search: WorkspaceSearch,
  before: Place | undefined,
): Promise<Place | undefined> {
  const rows = windowOf(search, before);
  return db.get(`SELECT created_at AS key, id FROM (${rows.sql} LIMIT 1 OFFSET ?) w`, [
    ...rows.params,
    WINDOW_ROWS - 1,
  ]);
}

/** Finds one workspace as listWorkspacesFound() does, also after it has ended. */
export function findWorkspaceFound(db: Pick<Db, 'get'>, id: string): Promise<FoundWorkspaceRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM workspaces w WHERE id = ?`, [id]);
}

const COLUMNS = `id, name, created_by AS "createdBy", created_at AS "createdAt", ended_at AS "endedAt",
  (SELECT COUNT(*) FROM members m WHERE m.workspace_id = w.id AND m.ended_at IS NULL) AS members`;

const STATUSES: Record<WorkspaceStatus, string> = {
  active: ' AND ended_at IS NULL',
  ended: ' AND ended_at IS NOT NULL',
};

/** The workspaces to look through, newest first, without a limit. */
function windowOf({ mailbox, accountId }: WorkspaceSearch, before: Place | undefined): Part {
  const { key, id } = before ?? { key: Number.MAX_SAFE_INTEGER, id: '' };
  const parts: Part[] = [
    ...(mailbox === undefined
      ? []
      : [{ sql: ofMember('(SELECT id FROM accounts WHERE mailbox = ?)'), params: [mailbox] }]),
    ...(accountId === undefined ? [] : [{ sql: ofMember('(?)'), params: [accountId] }]),
  ];
  const range = join(parts);
  return {
    sql: `SELECT * FROM workspaces WHERE (created_at, id) < (?, ?)${range.sql} ORDER BY created_at DESC, id DESC`,
    params: [key, id, ...range.params],
  };
}

function ofMember(accounts: string): string {
  return ` AND id IN (SELECT workspace_id FROM members WHERE account_id IN ${accounts} AND ended_at IS NULL)`;
}

function conditions({ nameStart, status }: WorkspaceSearch): Part {
  return join([
    startsWith(nameStart, { name: 'name', id: 'id' }),
    ...(status === undefined ? [] : [{ sql: STATUSES[status], params: [] }]),
  ]);
}

function join(parts: readonly Part[]): Part {
  return { sql: parts.map(({ sql }) => sql).join(''), params: parts.flatMap(({ params }) => params) };
}
