import type { Deps } from '../../deps.ts';
import { listNodes } from '../../store/nodes.ts';
import type { RequestOrigin } from '../../work.ts';
import { sortParentsFirst, type ToldNode } from './node-batches.ts';
import type { TreeServer } from './told-workspaces.ts';
import { applyNodeBatch } from './tree.ts';

/** How many nodes one transaction takes: it holds the writer of SQLite for some milliseconds. */
const BATCH_NODES = 500;

/** What an import came to. */
export interface ImportedNodes {
  upserted: number;
  unchanged: number;
  deleted: number;
}

/**
 * Imports nodes into the tree of a workspace, as if its resource server had told them, parents first. Repeated after it broke off,
 * it goes on.
 *
 * @param replaces whether nodes that are not among them end, once all others are in
 * @param confirmDeleted how many may end, where that is much
 * @throws Failure as applyNodeBatch(); batches before that stay
 */
export async function importNodes(
  deps: Deps,
  origin: RequestOrigin,
  server: TreeServer,
  workspace: string,
  nodes: readonly ToldNode[],
  { replaces, confirmDeleted }: { replaces: boolean; confirmDeleted: number | undefined },
  onProgress: (done: number) => void,
): Promise<ImportedNodes> {
  const total: ImportedNodes = { upserted: 0, unchanged: 0, deleted: 0 };
  const apply = async (upsert: readonly ToldNode[], deletions: readonly string[]) => {
    const batch = {
      workspace,
      upsert,
      delete: deletions,
      replace: false,
      sequence: undefined,
      confirmDeleted,
    };
    const result = await applyNodeBatch(deps, origin, server, batch, Buffer.alloc(0));
    total.upserted += result.upserted;
    total.unchanged += result.unchanged;
    total.deleted += result.deleted;
  };
  const sorted = sortParentsFirst(nodes);
  for (let from = 0; from < sorted.length; from += BATCH_NODES) {
    await apply(sorted.slice(from, from + BATCH_NODES), []);
    onProgress(Math.min(from + BATCH_NODES, sorted.length));
  }
  if (replaces) {
    const wanted = new Set(nodes.map(({ id }) => id));
    const known = await listNodes(deps.db, server.url, workspace);
    const unwanted = known.filter(({ externalId }) => !wanted.has(externalId));
    await apply(
      [],
      unwanted.map(({ externalId }) => externalId),
    );
  }
  return total;
}
