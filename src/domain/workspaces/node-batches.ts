import { Failure } from '../../errors.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import type { NodeRow } from '../../store/nodes.ts';

/**
 * What a batch of nodes does to a tree (docs/workspaces.md, the tree). Moves of nodes that are there come first, then
 * deletions, then the rest; parents are checked against the end state.
 */

/** A node as a resource server tells it. */
export interface ToldNode {
  id: string;
  /** Undefined: right below the workspace. */
  parent?: string | undefined;
  kind: string;
  name: string;
}

export interface NodeBatch {
  upsert: readonly ToldNode[];
  delete: readonly string[];
  /** Whether nodes that `upsert` does not name end. */
  replace: boolean;
}

/** A node of the tree with the text ids that it and its parent have. */
type KnownNode = Pick<NodeRow, 'id' | 'externalId' | 'parentId' | 'kind' | 'name'>;

/** How a batch changes a tree. Parents are text ids; null: right below the workspace. */
export interface BatchPlan {
  /** Parents before children. */
  created: (Omit<ToldNode, 'parent'> & { parent: string | null })[];
  changed: (Omit<ToldNode, 'parent'> & { parent: string | null })[];
  /** Our ids of all nodes that end, descendants included. */
  endedIds: string[];
  /** How many of the changed ones have another parent. */
  moved: number;
  /** How many were told as they are. */
  unchanged: number;
  /** How many nodes live afterwards. */
  nodes: number;
}

/** How many levels of nodes there are below a workspace. */
export const DEPTH_MAX = 8;

const ID = /^[A-Za-z0-9_.~-]{1,64}$/;
const KIND = /^[a-z][a-z0-9_]{0,31}$/;
const NAME_MAX = 120;

/** Checks the texts of a node. @param where its place, for `field` @throws Failure `invalidNode` */
export function checkNode({ id, parent, kind, name }: ToldNode, where: string): void {
  checkNodeId(id, `${where}.id`);
  if (parent !== undefined) checkNodeId(parent, `${where}.parent`);
  if (!KIND.test(kind)) {
    refuseNode(`${where}.kind`, 'A kind is up to 32 of a-z 0-9 _, and begins with a letter.');
  }
  if ([...name].length > NAME_MAX) refuseNode(`${where}.name`, `A name has at most ${NAME_MAX} characters.`);
  if (displayName(name) === '') refuseNode(`${where}.name`, 'A name has a visible character.');
}

/** @throws Failure `invalidNode` */
export function checkNodeId(id: string, field: string): void {
  if (!ID.test(id)) refuseNode(field, 'An id is 1 to 64 of A-Z a-z 0-9 _ . ~ -');
}

function refuseNode(field: string, message: string): never {
  throw new Failure('invalidNode', message, { field });
}

/** A node while a batch is applied. */
interface DraftNode {
  known: KnownNode | undefined;
  /** The parent before the batch. */
  before: string | null;
  parent: string | null;
  /** Its place in `upsert`; undefined: the batch does not name it. */
  index: number | undefined;
}

/**
 * Plans a batch.
 *
 * @param nodesMax how many nodes may live in the tree
 * @throws Failure `invalidNode` for an id twice, `invalidParent` for a parent that is not there, below the node itself or too
 * deep, `tooMany`; `field` says which entry
 */
export function planBatch(tree: readonly KnownNode[], batch: NodeBatch, nodesMax: number): BatchPlan {
  assertNamedOnce(batch);
  const draft = moveKnown(tree, batch);
  const ended = endDeleted(draft, batch);
  for (const [index, { id, parent = null }] of batch.upsert.entries()) {
    if (!draft.has(id) && !ended.has(id)) draft.set(id, { known: undefined, before: null, parent, index });
  }
  assertParents(draft, batch.upsert);
  if (draft.size > nodesMax) {
    throw new Failure('tooMany', `A workspace has at most ${nodesMax} nodes of one API.`, {
      field: 'upsert',
    });
  }
  return { ...compare(draft, batch.upsert), endedIds: [...ended.values()], nodes: draft.size };
}

function assertNamedOnce(batch: NodeBatch): void {
  const named = new Set<string>();
  const message = 'The batch names this node twice. Name each one once.';
  for (const [index, { id }] of batch.upsert.entries()) {
    if (named.has(id)) refuseNode(`upsert[${index}].id`, message);
    named.add(id);
  }
  for (const [index, id] of batch.delete.entries()) {
    if (named.has(id)) refuseNode(`delete[${index}]`, message);
    named.add(id);
  }
}

/** Returns the tree with the nodes that are there moved to where the batch says. */
function moveKnown(tree: readonly KnownNode[], { upsert }: NodeBatch): Map<string, DraftNode> {
  const names = new Map(tree.map(({ id, externalId }) => [id, externalId]));
  const draft = new Map(
    tree.map((known): [string, DraftNode] => {
      const parent = known.parentId === null ? null : names.get(known.parentId)!;
      return [known.externalId, { known, before: parent, parent, index: undefined }];
    }),
  );
  for (const [index, { id, parent = null }] of upsert.entries()) {
    const node = draft.get(id);
    if (node !== undefined) Object.assign(node, { parent, index });
  }
  return draft;
}

/** Takes deleted nodes and all below them out of a draft. @returns our ids of those that end, by text id */
function endDeleted(draft: Map<string, DraftNode>, batch: NodeBatch): Map<string, string> {
  const roots = batch.replace
    ? [...draft].filter(([, { index }]) => index === undefined).map(([id]) => id)
    : batch.delete.filter((id) => draft.has(id));
  const children = Map.groupBy(draft.keys(), (id) => draft.get(id)!.parent);
  const ended = new Map<string, string>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (ended.has(id)) continue;
    ended.set(id, draft.get(id)!.known!.id);
    open.push(...(children.get(id) ?? []));
  }
  for (const id of ended.keys()) draft.delete(id);
  return ended;
}

/** @throws Failure `invalidParent`, naming the entry of the batch that makes it so */
function assertParents(draft: ReadonlyMap<string, DraftNode>, upsert: readonly ToldNode[]): void {
  for (const [index, { id, parent }] of upsert.entries()) {
    if (parent === id || !draft.has(id) || (parent !== undefined && !draft.has(parent))) refuseParent(index);
    assertDepth(draft, id, index);
  }
  // What a move carries along can get too deep as well; the nearest entry above it says so.
  if (![...draft.values()].some(({ known, before, parent }) => known !== undefined && before !== parent))
    return;
  for (const [id, { index }] of draft) {
    if (index === undefined) assertDepth(draft, id, undefined);
  }
}

/** Walks up from a node. @param index the entry to blame; undefined: the nearest one above */
function assertDepth(draft: ReadonlyMap<string, DraftNode>, from: string, index: number | undefined): void {
  let blamed = index;
  let depth = 1;
  for (let node = draft.get(from)!; node.parent !== null; node = draft.get(node.parent)!) {
    blamed ??= node.index;
    depth += 1;
    if (depth > DEPTH_MAX) refuseParent(blamed ?? node.index ?? 0);
  }
}

function refuseParent(index: number): never {
  throw new Failure(
    'invalidParent',
    `The parent is not in this tree after the batch, is below the node itself, or is deeper than ${DEPTH_MAX} levels.`,
    { field: `upsert[${index}].parent` },
  );
}

/** Divides what a batch names into what is new, what is different and what is as it was. */
function compare(
  draft: ReadonlyMap<string, DraftNode>,
  upsert: readonly ToldNode[],
): Pick<BatchPlan, 'created' | 'changed' | 'moved' | 'unchanged'> {
  const created: BatchPlan['created'] = [];
  const changed: BatchPlan['changed'] = [];
  let moved = 0;
  for (const { id, parent = null, kind, name } of upsert) {
    const { known, before } = draft.get(id)!;
    const node = { id, parent, kind, name };
    if (known === undefined) {
      created.push(node);
      continue;
    }
    const isMoved = before !== parent;
    if (isMoved) moved += 1;
    if (isMoved || known.kind !== kind || known.name !== name) changed.push(node);
  }
  const unchanged = upsert.length - created.length - changed.length;
  return { created: sortParentsFirst(created), changed, moved, unchanged };
}

/** Sorts nodes so that each comes after its parent, as far as that is among them. */
export function sortParentsFirst<Node extends { id: string; parent?: string | null | undefined }>(
  nodes: readonly Node[],
): Node[] {
  const waiting = new Map(nodes.map((node) => [node.id, node]));
  const sorted: Node[] = [];
  for (const node of nodes) {
    const path: Node[] = [];
    for (let next: Node | undefined = waiting.get(node.id); next !== undefined; ) {
      waiting.delete(next.id);
      path.push(next);
      next = waiting.get(next.parent ?? '');
    }
    sorted.push(...path.toReversed());
  }
  return sorted;
}
