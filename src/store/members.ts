import type { ListPlace } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds, rowsBeside } from './pages.ts';

/** Who is in a shared workspace, and in which role. Whoever changes a row holds the workspace: see lockWorkspace(). */

export type Role = 'owner' | 'admin' | 'member' | 'viewer';

export interface MemberRow {
  workspaceId: string;
  accountId: string;
  role: Role;
  joinedAt: number;
}

/** A member as the list of a workspace shows it. */
export interface ListedMember extends MemberRow {
  /** Null: the account has ended. */
  mailbox: string | null;
  /** What they want to be called; null: nothing. */
  accountName: string | null;
}

/** A workspace that an account is in. */
export interface MembershipRow extends MemberRow {
  name: string;
}

/** Adds a member, or a former one again. @returns 0 if the account is a member already */
export function insertMember(tx: Tx, member: MemberRow): Promise<number> {
  return tx.run(
    `INSERT INTO members (workspace_id, account_id, role, joined_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (workspace_id, account_id)
       DO UPDATE SET role = excluded.role, joined_at = excluded.joined_at, ended_at = NULL
       WHERE members.ended_at IS NOT NULL`,
    [member.workspaceId, member.accountId, member.role, member.joinedAt],
  );
}

export function findMember(
  db: Pick<Tx, 'get'>,
  workspaceId: string,
  accountId: string,
): Promise<MemberRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM members WHERE workspace_id = ? AND account_id = ? AND ended_at IS NULL`,
    [workspaceId, accountId],
  );
}

/** Finds a workspace that has not ended as a member of it; undefined for everybody else. */
export function findMembership(
  db: Pick<Tx, 'get'>,
  workspaceId: string,
  accountId: string,
): Promise<(MembershipRow & { createdAt: number }) | undefined> {
  return db.get(
    `SELECT ${OF_MEMBER}, w.name, w.created_at AS "createdAt" FROM members m JOIN workspaces w ON w.id = m.workspace_id
     WHERE m.workspace_id = ? AND m.account_id = ? AND m.ended_at IS NULL AND w.ended_at IS NULL`,
    [workspaceId, accountId],
  );
}

/** Lists the workspaces that an account is in, by name. */
export function listMemberships(db: Pick<Tx, 'all'>, accountId: string): Promise<MembershipRow[]> {
  return db.all(
    `SELECT ${OF_MEMBER}, w.name FROM members m JOIN workspaces w ON w.id = m.workspace_id
     WHERE m.account_id = ? AND m.ended_at IS NULL AND w.ended_at IS NULL ORDER BY LOWER(w.name), w.id`,
    [accountId],
  );
}

/** Lists the members of a workspace: those who joined first are first. */
export function listMembers(db: Pick<Tx, 'all'>, workspaceId: string): Promise<ListedMember[]> {
  return db.all(
    `SELECT ${OF_MEMBER}, ${OF_ACCOUNT}
     FROM members m WHERE m.workspace_id = ? AND m.ended_at IS NULL ORDER BY m.joined_at, m.account_id`,
    [workspaceId],
  );
}

/** Lists the accounts that own a workspace. */
export async function listOwnerIds(db: Pick<Tx, 'all'>, workspaceId: string): Promise<string[]> {
  const rows = await db.all<{ accountId: string }>(
    `SELECT account_id AS "accountId" FROM members
     WHERE workspace_id = ? AND role = 'owner' AND ended_at IS NULL ORDER BY account_id`,
    [workspaceId],
  );
  return rows.map(({ accountId }) => accountId);
}

/** Lists the accounts that own or administer a workspace. */
export async function listManagerIds(db: Pick<Tx, 'all'>, workspaceId: string): Promise<string[]> {
  const rows = await db.all<{ accountId: string }>(
    `SELECT account_id AS "accountId" FROM members
     WHERE workspace_id = ? AND role IN ('owner', 'admin') AND ended_at IS NULL ORDER BY account_id`,
    [workspaceId],
  );
  return rows.map(({ accountId }) => accountId);
}

/** Lists the members of the workspaces of a page. */
export function listMembersOf(db: Pick<Tx, 'all'>, workspaceIds: readonly string[]): Promise<MemberRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM members WHERE workspace_id IN (${PAGE_MARKS}) AND ended_at IS NULL
     ORDER BY workspace_id, account_id`,
    pageIds(workspaceIds),
  );
}

/** Lists a page of the members of a workspace, in the order in which they joined. @param limit a constant of the program */
export function listMemberPage(
  db: Pick<Db, 'all'>,
  workspaceId: string,
  place: ListPlace<number> | undefined,
  limit: number,
): Promise<ListedMember[]> {
  const order = { keys: ['m.joined_at', 'm.account_id'], isDescending: false };
  const { condition, orderBy } = rowsBeside(
    order,
    place && { side: place.side, values: [place.key, place.id] },
  );
  return db.all(
    `SELECT ${OF_MEMBER}, ${OF_ACCOUNT}
     FROM members m WHERE m.workspace_id = ? AND m.ended_at IS NULL${condition.sql} ${orderBy} LIMIT ${limit}`,
    [workspaceId, ...condition.params],
  );
}

/** Counts the members of a workspace. */
export async function countMembers(db: Pick<Tx, 'get'>, workspaceId: string): Promise<number> {
  const row = await db.get<{ count: number }>(
    'SELECT COUNT(*) AS count FROM members WHERE workspace_id = ? AND ended_at IS NULL',
    [workspaceId],
  );
  return row!.count;
}

/** Counts the workspaces that an account owns. */
export async function countOwnedWorkspaces(db: Pick<Tx, 'get'>, accountId: string): Promise<number> {
  const row = await db.get<{ count: number }>(
    `SELECT COUNT(*) AS count FROM members WHERE account_id = ? AND role = 'owner' AND ended_at IS NULL`,
    [accountId],
  );
  return row!.count;
}

/** Sets the role of a member. @returns 0 if there is no such member, or the last owner would be none any more */
export function updateMemberRole(
  tx: Tx,
  { workspaceId, accountId, role }: Omit<MemberRow, 'joinedAt'>,
): Promise<number> {
  return tx.run(
    `UPDATE members SET role = ? WHERE workspace_id = ? AND account_id = ? AND ended_at IS NULL
       AND (? = 'owner' OR ${NOT_LAST_OWNER})`,
    [role, workspaceId, accountId, role],
  );
}

/** Ends a membership. @returns 0 if there is none, or it is that of the last owner */
export function updateMemberEnded(
  tx: Tx,
  workspaceId: string,
  accountId: string,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE members SET ended_at = ? WHERE workspace_id = ? AND account_id = ? AND ended_at IS NULL AND ${NOT_LAST_OWNER}`,
    [now, workspaceId, accountId],
  );
}

/** Ends all memberships of a workspace that ends. */
export function updateMembersOfWorkspaceEnded(tx: Tx, workspaceId: string, now: number): Promise<number> {
  return tx.run('UPDATE members SET ended_at = ? WHERE workspace_id = ? AND ended_at IS NULL', [
    now,
    workspaceId,
  ]);
}

/** True of a member beside whom the workspace has another owner, and of everybody who is none. */
const NOT_LAST_OWNER = `(role <> 'owner' OR EXISTS (SELECT 1 FROM members other
  WHERE other.workspace_id = members.workspace_id AND other.account_id <> members.account_id
    AND other.role = 'owner' AND other.ended_at IS NULL))`;
const COLUMNS = `workspace_id AS "workspaceId", account_id AS "accountId", role, joined_at AS "joinedAt"`;
const OF_ACCOUNT = `(SELECT mailbox FROM accounts WHERE id = m.account_id) AS mailbox,
  (SELECT name FROM accounts WHERE id = m.account_id) AS "accountName"`;
const OF_MEMBER = `m.workspace_id AS "workspaceId", m.account_id AS "accountId", m.role, m.joined_at AS "joinedAt"`;
