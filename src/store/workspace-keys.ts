import type { ListSide } from '../lib/list-pages.ts';
import { CREDENTIAL_COLUMNS, type CredentialRow, NEWEST_KEYS } from './credentials.ts';
import type { Tx } from './engine/db.ts';
import { rowsBeside } from './pages.ts';
import type { PlaceRow } from './places.ts';

/** Keys as a workspace has them: those with a place there, or that had one. */

/** Which keys of a workspace: those that an account gave places there, those of a node, or all. */
export interface WorkspaceKeyFilter {
  workspaceId: string;
  grantedBy?: string | undefined;
  nodeId?: string | undefined;
}

/** A key of a workspace, with the mailbox of its maker; null: the account has ended. */
export type WorkspaceKeyRow = CredentialRow & { makerMailbox: string | null; makerName: string | null };

/**
 * Lists a page of the keys of a workspace, newest first, ended ones included.
 *
 * @param place where the page begins or ends; undefined: the first page
 */
export function listWorkspaceKeyPage(
  db: Pick<Tx, 'all'>,
  filter: WorkspaceKeyFilter,
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<WorkspaceKeyRow[]> {
  const { condition, orderBy } = rowsBeside(NEWEST_KEYS, place && { side: place.side, values: [place.id] });
  const holders = holdersIn(filter);
  return db.all(
    `SELECT ${COLUMNS} FROM credentials c WHERE c.id IN (${holders.sql}) AND c.kind IN ('key', 'app_key')${condition.sql}
     ${orderBy} LIMIT ?`,
    [...holders.params, ...condition.params, limit],
  );
}

/** Finds one of the keys of a workspace. */
export function findWorkspaceKey(
  db: Pick<Tx, 'get'>,
  filter: WorkspaceKeyFilter,
  id: string,
): Promise<WorkspaceKeyRow | undefined> {
  const holders = holdersIn(filter);
  return db.get(
    `SELECT ${COLUMNS} FROM credentials c WHERE c.id = ? AND c.id IN (${holders.sql}) AND c.kind IN ('key', 'app_key')`,
    [id, ...holders.params],
  );
}

/** Lists the workspaces in which an account answers for keys of things. */
export async function listWorkspacesOfAppKeys(db: Pick<Tx, 'all'>, accountId: string): Promise<string[]> {
  const rows = await db.all<{ id: string }>(
    `SELECT DISTINCT p.workspace_id AS id FROM credentials c JOIN places p ON p.holder = c.id
     WHERE c.account_id = ? AND c.kind = 'app_key'`,
    [accountId],
  );
  return rows.map(({ id }) => id);
}

/** The key of a thing, as the export of the account that answers for it has it. */
export type ExportedAppKeyRow = Pick<
  CredentialRow,
  'id' | 'name' | 'prefix' | 'scope' | 'createdAt' | 'expiresAt' | 'revokedAt'
> &
  Pick<PlaceRow, 'workspaceId' | 'nodeId'>;

/** Lists the keys of things for which an account answers, oldest first, ended ones included. */
export function listAppKeysOfAccount(db: Pick<Tx, 'all'>, accountId: string): Promise<ExportedAppKeyRow[]> {
  return db.all(
    `SELECT c.id, c.name, c.prefix, c.scope, c.created_at AS "createdAt", c.expires_at AS "expiresAt",
       c.revoked_at AS "revokedAt", p.workspace_id AS "workspaceId", p.node_id AS "nodeId"
     FROM credentials c JOIN places p ON p.holder = c.id WHERE c.account_id = ? AND c.kind = 'app_key' ORDER BY c.id`,
    [accountId],
  );
}

/** Lets another account answer for the keys of things in a workspace. */
export function updateAppKeysAccount(
  tx: Tx,
  workspaceId: string,
  { from, to }: { from: string; to: string },
): Promise<number> {
  return tx.run(
    `UPDATE credentials SET account_id = ? WHERE account_id = ? AND kind = 'app_key'
       AND (SELECT MIN(p.workspace_id) FROM places p WHERE p.holder = credentials.id) = ?`,
    [to, from, workspaceId],
  );
}

/** Who had a place in a workspace. Live and ended places are found in an index each. */
function holdersIn({ workspaceId, grantedBy, nodeId }: WorkspaceKeyFilter): {
  sql: string;
  params: string[];
} {
  const isWanted = `${grantedBy === undefined ? '' : ' AND granted_by = ?'}${nodeId === undefined ? '' : ' AND node_id = ?'}`;
  const branch = (ended: string) =>
    `SELECT holder FROM places WHERE workspace_id = ? AND ended_at IS ${ended}${isWanted}`;
  const params = [workspaceId, grantedBy, nodeId].filter((value) => value !== undefined);
  return { sql: `${branch('NULL')} UNION ${branch('NOT NULL')}`, params: [...params, ...params] };
}

const COLUMNS = `${CREDENTIAL_COLUMNS},
  (SELECT mailbox FROM accounts a WHERE a.id = c.account_id) AS "makerMailbox",
  (SELECT name FROM accounts a WHERE a.id = c.account_id) AS "makerName"`;
