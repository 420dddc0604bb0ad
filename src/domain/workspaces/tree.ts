import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { sha256 } from '../../lib/hash.ts';
import { newId } from '../../lib/ids.ts';
import type { Db, Tx } from '../../store/engine/db.ts';
import { listOwnerIds } from '../../store/members.ts';
import {
  areNodesInUse,
  insertNodes,
  type ListedNode,
  listNodePage,
  listNodes,
  type NodeRow,
  updateNode,
  updateNodesEnded,
} from '../../store/nodes.ts';
import { countNodesOf, findTree, lockTree, type TreeRow, updateTree } from '../../store/trees.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { lockAccounts, recordAndNotify } from '../audit/notifications.ts';
import { consumeLimits } from '../limits/rate-limiter.ts';
import { useCase } from '../limits/use-case.ts';
import { type BatchPlan, type NodeBatch, planBatch } from './node-batches.ts';
import { endPlacesOnNodes } from './places.ts';
import {
  assertUnderstandsWorkspaces,
  isReachable,
  lockReachableWorkspace,
  type TreeServer,
  unknownWorkspace,
} from './told-workspaces.ts';

/** The trees that resource servers tell: which things are in which of a workspace (docs/workspaces.md, the tree). */

/** A batch as a resource server sends it. */
export interface SentBatch extends NodeBatch {
  workspace: string;
  /** Undefined: the batch has no number, and neither checks nor changes that of the tree. */
  sequence: number | undefined;
  /** How many nodes the sender means to end; undefined: it does not say. */
  confirmDeleted: number | undefined;
}

/** What a batch came to. */
export interface BatchResult {
  workspace: string;
  sequence: number | undefined;
  /** Nodes that are new or changed. */
  upserted: number;
  unchanged: number;
  /** Of those that changed: nodes with another parent. */
  moved: number;
  /** Nodes that ended, descendants included. */
  deleted: number;
  /** How many nodes the tree has now. */
  nodes: number;
}

/** A batch that ends more nodes than this, and more than half of them, must say so. */
const ENDING_UNCONFIRMED_MAX = 20;
/** A change of a tree is written to the audit log once in this time, in ms. */
const RECORD_PAUSE_MS = 60_000;

/**
 * Applies a batch of nodes to the tree that a resource server tells of a workspace: all of it, or nothing. The same batch again
 * changes nothing.
 *
 * @param bytes the batch as sent: the last one repeated to the byte is no stale one
 * @throws Failure `forbidden` for a server that does not understand workspaces, `notFound`, `staleSequence`, `confirmNeeded`,
 * `limited`, and those of planBatch()
 */
export async function applyNodeBatch(
  deps: Deps,
  origin: RequestOrigin,
  server: TreeServer,
  batch: SentBatch,
  bytes: Uint8Array,
): Promise<BatchResult> {
  assertUnderstandsWorkspaces(server);
  const nodesOfServer = await countNodes(deps, server.url);
  const sharedLimits = [{ name: 'nodeBatches', key: server.id }] as const;
  return useCase(deps, origin, { sharedLimits }, async (work) => {
    await work.consumeSharedLimits();
    const { tx, now } = work;
    await lockReachableWorkspace(work, server, batch.workspace);
    const tree = await lockTree(tx, server.url, batch.workspace, now);
    if (isUntold(tree, now)) await consumeLimits(work, [{ name: 'treesPerResourceServer', key: server.id }]);
    const hash = batch.sequence === undefined ? undefined : sha256(bytes);
    if (isLastRepeated(tree, batch, hash)) return repeatedResult(tree, batch);
    return applyToTree(work, tree, batch, hash, nodesOfServer);
  });
}

/** Reads a page of a tree, and the number of the last batch that had one. @throws Failure `forbidden`, `notFound` */
export async function readNodes(
  { db }: Pick<Deps, 'db'>,
  server: TreeServer,
  workspace: string,
  after: string,
  limit: number,
): Promise<{ nodes: ListedNode[]; next: string | undefined; sequence: number | undefined }> {
  assertUnderstandsWorkspaces(server);
  if (!(await isReachable(db, server, workspace))) throw unknownWorkspace();
  const tree = await findTree(db, server.url, workspace);
  const rows = await listNodePage(db, { resource: server.url, workspaceId: workspace }, after, limit + 1);
  const nodes = rows.slice(0, limit);
  const next = rows.length > limit ? nodes.at(-1)!.externalId : undefined;
  return { nodes, next, sequence: tree?.sequence ?? undefined };
}

/** Whether the row of a tree was made at this moment: no batch was taken before. */
function isUntold({ sequence, nodes, changedAt, recordedAt }: TreeRow, now: number): boolean {
  return sequence === null && nodes === 0 && recordedAt === null && changedAt === now;
}

/** @throws Failure `staleSequence` */
function isLastRepeated(tree: TreeRow, { sequence }: SentBatch, hash: Buffer | undefined): boolean {
  if (sequence === undefined || tree.sequence === null || sequence > tree.sequence) return false;
  if (sequence === tree.sequence && hash !== undefined && tree.batchHash?.equals(hash)) return true;
  throw new Failure(
    'staleSequence',
    `A batch with the number ${tree.sequence} was taken already. Send what is new with a number above it.`,
    { last: tree.sequence },
  );
}

function repeatedResult(tree: TreeRow, { workspace, sequence, upsert }: SentBatch): BatchResult {
  const { nodes } = tree;
  return { workspace, sequence, upserted: 0, unchanged: upsert.length, moved: 0, deleted: 0, nodes };
}

async function applyToTree(
  work: Work,
  tree: TreeRow,
  batch: SentBatch,
  hash: Buffer | undefined,
  nodesOfServer: number,
): Promise<BatchResult> {
  const { tx, now, deps } = work;
  const { nodesPerWorkspace, nodesPerResourceServer } = deps.config.limits;
  const known = await listNodes(tx, tree.resource, tree.workspaceId);
  const plan = planBatch(known, batch, nodesPerWorkspace);
  if (plan.created.length > 0 && nodesOfServer + plan.created.length > nodesPerResourceServer) {
    throw new Failure('tooMany', `An API has at most ${nodesPerResourceServer} nodes.`, { field: 'upsert' });
  }
  await assertConfirmed(tx, batch, plan, known.length);
  await writePlan(work, tree, plan, known);
  const upserted = plan.created.length + plan.changed.length;
  const { moved, unchanged, nodes } = plan;
  const deleted = plan.endedIds.length;
  const isChanged = upserted + deleted > 0;
  const isRecorded = isChanged && (tree.recordedAt === null || now - tree.recordedAt >= RECORD_PAUSE_MS);
  if (isRecorded) {
    await recordEvent(work, {
      kind: 'tree.changed',
      ...whereIn(tree.workspaceId),
      subject: tree.workspaceId,
      details: { resource: tree.resource, upserted, moved, deleted },
    });
  }
  await updateTree(tx, {
    ...tree,
    ...(hash !== undefined && { sequence: batch.sequence!, batchHash: hash }),
    nodes,
    changedAt: isChanged ? now : tree.changedAt,
    recordedAt: isRecorded ? now : tree.recordedAt,
  });
  return {
    workspace: tree.workspaceId,
    sequence: batch.sequence,
    upserted,
    unchanged,
    moved,
    deleted,
    nodes,
  };
}

/** @throws Failure `confirmNeeded` for a batch that ends much, or what people gave access to, without saying how much (P-6) */
async function assertConfirmed(
  tx: Tx,
  batch: SentBatch,
  { endedIds }: BatchPlan,
  before: number,
): Promise<void> {
  const deleting = endedIds.length;
  if (deleting === 0 || batch.confirmDeleted === deleting) return;
  const isMuch = deleting > ENDING_UNCONFIRMED_MAX && deleting > before / 2;
  if (!isMuch && !(batch.replace && (await areNodesInUse(tx, endedIds)))) return;
  throw new Failure(
    'confirmNeeded',
    `This batch ends ${deleting} nodes, and with them access that people gave. Send it with "confirm_deleted": ${deleting} if that is meant.`,
    { deleting },
  );
}

async function writePlan(
  work: Work,
  tree: TreeRow,
  plan: BatchPlan,
  known: readonly NodeRow[],
): Promise<void> {
  const { tx, now, deps } = work;
  const { resource, workspaceId } = tree;
  const ids = new Map(known.map(({ id, externalId }) => [externalId, id]));
  const rows = plan.created.map(({ id: externalId, parent, kind, name }): NodeRow => {
    const id = newId('nod', now, deps.random);
    ids.set(externalId, id);
    return {
      id,
      resource,
      workspaceId,
      externalId,
      parentId: parent === null ? null : ids.get(parent)!,
      kind,
      name,
    };
  });
  if (plan.endedIds.length > 0) await endNodes(work, tree, plan.endedIds);
  await insertNodes(tx, rows, now);
  for (const { id: externalId, parent, kind, name } of plan.changed) {
    const parentId = parent === null ? null : ids.get(parent)!;
    await updateNode(tx, { id: ids.get(externalId)!, parentId, kind, name }, now);
  }
}

/** Ends nodes, the places on them and keys that had no other, and tells the owners of the workspace of those keys. */
async function endNodes(work: Work, tree: TreeRow, ids: readonly string[]): Promise<void> {
  const { tx, now } = work;
  const { workspaceId, resource } = tree;
  if (!(await areNodesInUse(tx, ids))) {
    await updateNodesEnded(tx, ids, now);
    return;
  }
  const isPersonal = workspaceId.startsWith('usr_');
  const ownerIds = isPersonal ? [workspaceId] : await listOwnerIds(tx, workspaceId);
  // Accounts are locked before places.
  await lockAccounts(work, ownerIds);
  await updateNodesEnded(tx, ids, now);
  const { keys } = await endPlacesOnNodes(work, tree);
  if (keys === 0) return;
  for (const ownerId of ownerIds) {
    await recordAndNotify(work, ownerId, {
      kind: 'tree.changed',
      ...whereIn(workspaceId),
      subject: workspaceId,
      details: { resource, keys },
    });
  }
}

/** Names the shared workspace of an event, or the account of a personal one. */
function whereIn(workspaceId: string): { accountId: string } | { workspaceId: string } {
  return workspaceId.startsWith('usr_') ? { accountId: workspaceId } : { workspaceId };
}

/** How long the number of a resource server’s nodes is taken for right, in ms: it bounds junk, and is no promise. */
const COUNT_TTL_MS = 10_000;
const nodeCounts = new WeakMap<Db, LRUCache<string, number>>();

async function countNodes({ db }: Pick<Deps, 'db'>, resource: string): Promise<number> {
  let counts = nodeCounts.get(db);
  if (counts === undefined) {
    counts = new LRUCache({ max: 1000, ttl: COUNT_TTL_MS });
    nodeCounts.set(db, counts);
  }
  let count = counts.get(resource);
  if (count === undefined) {
    count = await countNodesOf(db, resource);
    counts.set(resource, count);
  }
  return count;
}
