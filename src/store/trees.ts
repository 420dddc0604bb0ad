import type { Tx } from './engine/db.ts';

/** The tree that a resource server told of one workspace. The row is the lock of the tree. */

export interface TreeRow {
  resource: string;
  workspaceId: string;
  /** Of the last batch with a number; null: none had one. */
  sequence: number | null;
  batchHash: Buffer | null;
  /** How many nodes live. */
  nodes: number;
  changedAt: number;
  /** When a change was last written to the audit log; null: never. */
  recordedAt: number | null;
}

/**
 * Locks a tree until the transaction ends, and makes it if there is none: nodes do not change, and nobody gives a place on
 * one of them.
 */
export async function lockTree(tx: Tx, resource: string, workspaceId: string, now: number): Promise<TreeRow> {
  const row = await tx.get<TreeRow>(
    `INSERT INTO trees (resource, workspace_id, nodes, changed_at) VALUES (?, ?, 0, ?)
     ON CONFLICT (resource, workspace_id) DO UPDATE SET nodes = trees.nodes RETURNING ${COLUMNS}`,
    [resource, workspaceId, now],
  );
  return row!;
}

/** Finds a tree without locking it. */
export function findTree(
  db: Pick<Tx, 'get'>,
  resource: string,
  workspaceId: string,
): Promise<TreeRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM trees WHERE resource = ? AND workspace_id = ?`, [
    resource,
    workspaceId,
  ]);
}

/** Counts the live nodes of a resource server over all workspaces. */
export async function countNodesOf(db: Pick<Tx, 'get'>, resource: string): Promise<number> {
  const row = await db.get<{ nodes: number }>(
    'SELECT COALESCE(SUM(nodes), 0) AS nodes FROM trees WHERE resource = ?',
    [resource],
  );
  return Number(row!.nodes);
}

/** Replaces what a tree says of itself; the caller holds it. */
export async function updateTree(tx: Tx, tree: TreeRow): Promise<void> {
  await tx.run(
    `UPDATE trees SET sequence = ?, batch_hash = ?, nodes = ?, changed_at = ?, recorded_at = ?
     WHERE resource = ? AND workspace_id = ?`,
    [
      tree.sequence,
      tree.batchHash,
      tree.nodes,
      tree.changedAt,
      tree.recordedAt,
      tree.resource,
      tree.workspaceId,
    ],
  );
}

/** Lists the trees of a workspace. */
export function listTrees(db: Pick<Tx, 'all'>, workspaceId: string): Promise<TreeRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM trees WHERE workspace_id = ? ORDER BY resource`, [workspaceId]);
}

/** Ends the trees of a workspace that ends. */
export function deleteTreesOfWorkspace(tx: Tx, workspaceId: string): Promise<number> {
  return tx.run('DELETE FROM trees WHERE workspace_id = ?', [workspaceId]);
}

const COLUMNS = `resource, workspace_id AS "workspaceId", sequence, batch_hash AS "batchHash", nodes,
  changed_at AS "changedAt", recorded_at AS "recordedAt"`;
