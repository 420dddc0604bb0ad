import type { ListSide } from '../lib/list-pages.ts';
import type { Tx } from './engine/db.ts';
import { type ListOrder, marksOf, rowsBeside } from './pages.ts';

/** Nodes: the things of a workspace that other things are in, as the resource server told us that has them. */

export interface NodeRow {
  id: string;
  resource: string;
  workspaceId: string;
  /** As the resource server names it. */
  externalId: string;
  /** Our id of the node that it is in; null: it is right below the workspace. */
  parentId: string | null;
  kind: string;
  name: string;
}

/** How many rows one statement inserts or ends at most. */
const BATCH_ROWS = 100;

/** Reads a tree: all nodes that a resource server told of a workspace, and that have not ended. */
export function listNodes(db: Pick<Tx, 'all'>, resource: string, workspaceId: string): Promise<NodeRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM nodes n WHERE n.resource = ? AND n.workspace_id = ? AND n.ended_at IS NULL`,
    [resource, workspaceId],
  );
}

/** A node as its resource server reads it back. */
export interface ListedNode extends Pick<NodeRow, 'externalId' | 'kind' | 'name'> {
  /** The parent as the resource server names it. */
  parent: string | null;
}

/** Lists nodes of a tree after one of them, by the names that the resource server gave them. */
export function listNodePage(
  db: Pick<Tx, 'all'>,
  tree: Pick<NodeRow, 'resource' | 'workspaceId'>,
  after: string,
  limit: number,
): Promise<ListedNode[]> {
  return db.all(
    `SELECT n.external_id AS "externalId", n.kind, n.name, (SELECT external_id FROM nodes WHERE id = n.parent_id) AS parent
     FROM nodes n WHERE n.resource = ? AND n.workspace_id = ? AND n.external_id > ? AND n.ended_at IS NULL
     ORDER BY n.external_id LIMIT ?`,
    [tree.resource, tree.workspaceId, after, limit],
  );
}

/** Finds a node that has not ended, by our id. */
export function findNode(db: Pick<Tx, 'get'>, id: string): Promise<NodeRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM nodes n WHERE n.id = ? AND n.ended_at IS NULL`, [id]);
}

/** Finds a node that has not ended, as its resource server names it. */
export function findNodeNamed(
  db: Pick<Tx, 'get'>,
  resource: string,
  workspaceId: string,
  externalId: string,
): Promise<NodeRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM nodes n
     WHERE n.resource = ? AND n.workspace_id = ? AND n.external_id = ? AND n.ended_at IS NULL`,
    [resource, workspaceId, externalId],
  );
}

/** Lists the nodes of a workspace over all resource servers, up to a limit, in the order in which they were told. */
export function listNodesOfWorkspace(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  limit: number,
): Promise<NodeRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM nodes n WHERE n.workspace_id = ? AND n.ended_at IS NULL ORDER BY n.id LIMIT ?`,
    [workspaceId, limit],
  );
}

/** Lists the nodes of a workspace whose names hold a text, in any case. */
export function listNodesNamed(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  text: string,
  limit: number,
): Promise<NodeRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM nodes n WHERE n.workspace_id = ? AND n.ended_at IS NULL
       AND LOWER(n.name) LIKE ? ESCAPE '~' ORDER BY n.id LIMIT ?`,
    [workspaceId, `%${text.toLowerCase().replaceAll(/[~%_]/g, '~$&')}%`, limit],
  );
}

/**
 * Lists a page of the nodes of some kinds in a workspace, in the order in which they were told.
 *
 * @param place where the page begins or ends; undefined: the first page
 */
export async function listNodesOfKinds(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  kinds: readonly string[],
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<NodeRow[]> {
  if (kinds.length === 0) return [];
  const { condition, orderBy } = rowsBeside(OLDEST, place && { side: place.side, values: [place.id] });
  return db.all(
    `SELECT ${COLUMNS} FROM nodes n WHERE n.workspace_id = ? AND n.ended_at IS NULL AND n.kind IN (${marksOf(kinds)})${condition.sql}
     ${orderBy} LIMIT ?`,
    [workspaceId, ...kinds, ...condition.params, limit],
  );
}

/** Finds nodes by our ids, ended ones included, since what was given on them is shown. */
export function listNodesById(db: Pick<Tx, 'all'>, ids: readonly string[]): Promise<NodeRow[]> {
  return inBatches(ids, (batch) =>
    db.all<NodeRow>(`SELECT ${COLUMNS} FROM nodes n WHERE n.id IN (${marksOf(batch)})`, batch),
  );
}

/** Inserts nodes; the caller holds their tree. */
export async function insertNodes(tx: Tx, nodes: readonly NodeRow[], now: number): Promise<void> {
  await inBatches(nodes, async (batch) => {
    await tx.run(
      `INSERT INTO nodes (id, resource, workspace_id, external_id, parent_id, kind, name, created_at, changed_at)
       VALUES ${batch.map(() => '(?, ?, ?, ?, ?, ?, ?, ?, ?)').join(', ')}`,
      batch.flatMap((node) => [
        node.id,
        node.resource,
        node.workspaceId,
        node.externalId,
        node.parentId,
        node.kind,
        node.name,
        now,
        now,
      ]),
    );
    return [];
  });
}

/** Moves or renames a node; the caller holds its tree. */
export async function updateNode(
  tx: Tx,
  { id, parentId, kind, name }: Pick<NodeRow, 'id' | 'parentId' | 'kind' | 'name'>,
  now: number,
): Promise<void> {
  await tx.run('UPDATE nodes SET parent_id = ?, kind = ?, name = ?, changed_at = ? WHERE id = ?', [
    parentId,
    kind,
    name,
    now,
    id,
  ]);
}

/** Ends nodes for good; the caller holds their tree. */
export async function updateNodesEnded(tx: Tx, ids: readonly string[], now: number): Promise<void> {
  await inBatches(ids, async (batch) => {
    await tx.run(`UPDATE nodes SET ended_at = ? WHERE id IN (${marksOf(batch)})`, [now, ...batch]);
    return [];
  });
}

/** Whether a place is on one of some nodes. */
export async function areNodesInUse(tx: Pick<Tx, 'all'>, ids: readonly string[]): Promise<boolean> {
  const used = await inBatches(ids, (batch) =>
    tx.all<{ id: string }>(
      `SELECT id FROM places WHERE node_id IS NOT NULL AND node_id IN (${marksOf(batch)}) AND ended_at IS NULL LIMIT 1`,
      batch,
    ),
  );
  return used.length > 0;
}

/** Ends all nodes of a workspace that ends. */
export function updateNodesOfWorkspaceEnded(tx: Tx, workspaceId: string, now: number): Promise<number> {
  return tx.run('UPDATE nodes SET ended_at = ? WHERE workspace_id = ? AND ended_at IS NULL', [
    now,
    workspaceId,
  ]);
}

/**
 * Runs a statement over a list, BATCH_ROWS at a time, and the rest in tens and ones: so it has three texts whatever the
 * length of the list.
 */
async function inBatches<Item, Row>(
  items: readonly Item[],
  run: (batch: readonly Item[]) => Promise<Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let done = 0;
  while (done < items.length) {
    const left = items.length - done;
    const size = left >= BATCH_ROWS ? BATCH_ROWS : left >= 10 ? 10 : 1;
    rows.push(...(await run(items.slice(done, done + size))));
    done += size;
  }
  return rows;
}

const OLDEST: ListOrder = { keys: ['n.id'], isDescending: false };
const COLUMNS = `n.id, n.resource, n.workspace_id AS "workspaceId", n.external_id AS "externalId", n.parent_id AS "parentId",
  n.kind, n.name`;
