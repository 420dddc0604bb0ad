import {
  type AuthorizationServerOptions,
  createAuthorizationServerClient,
} from './authorization-server-client.ts';
import { unavailable } from './errors.ts';

/** A node of the tree of this API, as Vouchsafe shows it to people who choose where a key holds. */
export interface TreeNode {
  /** Your own id: up to 64 of A-Z a-z 0-9 _ . ~ - */
  id: string;
  /** The id of the node that it is in; undefined: right below the workspace. */
  parent?: string | undefined;
  /** Such as "project" or "folder". */
  kind: string;
  /** For people, up to 120 characters. */
  name: string;
}

export interface SyncNodesOptions extends AuthorizationServerOptions {
  /** `wsp_…`, or the account of a personal workspace. */
  workspace: string;
  /** All nodes of the workspace, in any order. */
  nodes: Iterable<TreeNode> | AsyncIterable<TreeNode>;
  /**
   * How many nodes may end, to the number, where that is more than twenty and more than half: so a list that broke off does not
   * end what people gave access to.
   */
  confirmDeleted?: number;
  /** How many nodes are sent at once; default 500, which is the most. */
  pageSize?: number;
  /** Called after each page that was sent. */
  onProgress?: (progress: { sent: number; of: number }) => void;
}

/** What a synchronization came to. */
export interface SyncedNodes {
  upserted: number;
  deleted: number;
}

/** The service refuses what was sent, or it was changed meanwhile by somebody else, again and again. */
export class SyncRefused extends Error {
  /** The code of the answer, such as `invalid_parent`, `confirm_needed` or `stale_sequence`. */
  readonly code: string;
  /** How many nodes would end; only with `confirm_needed`. */
  readonly deleting: number | undefined;

  constructor(code: string, message: string, deleting?: number) {
    super(message);
    this.name = 'SyncRefused';
    this.code = code;
    this.deleting = deleting;
  }
}

const PAGE_SIZE = 500;
/** Below the 256 KiB that the service reads, with room for what stands around the nodes. */
const PAGE_BYTES = 240_000;
const ENDING_UNCONFIRMED_MAX = 20;
/** How often it starts again where somebody else changed the tree meanwhile. */
const TRIES = 5;

/**
 * Makes the tree at Vouchsafe that of this API: reads what is there and sends the difference, parents first and deletions last.
 * Broken off anywhere and run again, it ends right.
 *
 * @throws SyncRefused if the service does not take it; VerificationError `unavailable` while it cannot be asked
 */
export async function syncNodes(options: SyncNodesOptions): Promise<SyncedNodes> {
  const target = new Map<string, TreeNode>();
  for await (const node of options.nodes) target.set(node.id, node);
  const total: SyncedNodes = { upserted: 0, deleted: 0 };
  for (let tries = 1; ; tries += 1) {
    try {
      await sendDifference(options, target, total);
      return total;
    } catch (error) {
      const isStale = error instanceof SyncRefused && error.code === 'stale_sequence';
      if (!isStale || tries === TRIES) throw error;
    }
  }
}

async function sendDifference(
  options: SyncNodesOptions,
  target: ReadonlyMap<string, TreeNode>,
  total: SyncedNodes,
): Promise<void> {
  const client = createAuthorizationServerClient(options);
  const { workspace, confirmDeleted, pageSize = PAGE_SIZE, onProgress = () => {} } = options;
  const { nodes, sequence } = await readTree(client, workspace);
  const { upsert, moved, roots, ending } = compareTrees(nodes, target);
  assertConfirmed(ending, nodes.size, confirmDeleted);
  let number = sequence;
  let sent = 0;
  const of = upsert.length + roots.length;
  const send = async (
    page: { upsert?: TreeNode[]; delete?: string[] },
    confirmed?: number,
  ): Promise<void> => {
    number += 1;
    const answer = await client.put('/resource/nodes', {
      workspace,
      sequence: number,
      ...page,
      ...(confirmed !== undefined && { confirm_deleted: confirmed }),
    });
    if (typeof answer.error === 'string') {
      const { error, error_description: message, deleting } = answer;
      throw new SyncRefused(error, String(message), typeof deleting === 'number' ? deleting : undefined);
    }
    total.upserted += Number(answer.upserted);
    total.deleted += Number(answer.deleted);
  };
  const sendAll = async (list: readonly TreeNode[]): Promise<void> => {
    for (const page of pagesOf(list, pageSize)) {
      await send({ upsert: page });
      sent += page.length;
      onProgress({ sent: Math.min(sent, of), of });
    }
  };
  const deleteAll = async (): Promise<void> => {
    for (let from = 0; from < roots.length; from += pageSize) {
      const page = roots.slice(from, from + pageSize);
      await send(
        { delete: page.map(({ id }) => id) },
        page.reduce((sum, { size }) => sum + size, 0),
      );
      sent += page.length;
      onProgress({ sent: Math.min(sent, of), of });
    }
  };
  try {
    await sendAll(upsert);
    await deleteAll();
  } catch (error) {
    if (!(error instanceof SyncRefused) || error.code !== 'invalid_parent' || moved.length === 0) throw error;
    // On the way a move can carry what is still below it too deep: take all that moves out, then delete, then put it in its place.
    number = (await readTree(client, workspace)).sequence;
    await sendAll(moved.map(({ parent: _, ...node }) => node));
    await deleteAll();
    await sendAll(upsert);
  }
}

/** The nodes that are there, by id. */
type KnownTree = Map<string, TreeNode>;

async function readTree(
  client: ReturnType<typeof createAuthorizationServerClient>,
  workspace: string,
): Promise<{ nodes: KnownTree; sequence: number }> {
  const nodes: KnownTree = new Map();
  let sequence = 0;
  let after: unknown = '';
  while (typeof after === 'string') {
    const query = new URLSearchParams({ workspace, after });
    const page = await client.get(`/resource/nodes?${query}`);
    if (!Array.isArray(page.nodes)) throw unavailable(new Error('the answer about nodes has another shape'));
    for (const { id, parent, kind, name } of page.nodes) {
      nodes.set(id, { id, kind, name, ...(typeof parent === 'string' && { parent }) });
    }
    if (after === '' && typeof page.sequence === 'number') sequence = page.sequence;
    after = page.next;
  }
  return { nodes, sequence };
}

/** What makes one tree the other. */
interface Difference {
  /** New and changed nodes, parents first. */
  upsert: TreeNode[];
  /** Of these, those that are there and have another parent. */
  moved: TreeNode[];
  /** The topmost nodes that are not wanted any more, each with how many end with it. */
  roots: { id: string; size: number }[];
  /** How many nodes end. */
  ending: number;
}

function compareTrees(nodes: KnownTree, target: ReadonlyMap<string, TreeNode>): Difference {
  const upsert: TreeNode[] = [];
  const moved: TreeNode[] = [];
  for (const node of parentsFirst(target)) {
    const known = nodes.get(node.id);
    const isMoved = known !== undefined && known.parent !== node.parent;
    if (isMoved) moved.push(node);
    if (known === undefined || isMoved || known.kind !== node.kind || known.name !== node.name)
      upsert.push(node);
  }
  const unwanted = [...nodes.values()].filter(({ id }) => !target.has(id));
  const sizes = new Map<string, number>();
  for (const { id } of unwanted) {
    const root = rootOf(nodes, target, id);
    sizes.set(root, (sizes.get(root) ?? 0) + 1);
  }
  const roots = [...sizes].map(([id, size]) => ({ id, size }));
  return { upsert, moved, roots, ending: unwanted.length };
}

/** Returns the topmost node above one, itself included, that is not wanted and whose parent is, or is none. */
function rootOf(nodes: KnownTree, target: ReadonlyMap<string, TreeNode>, id: string): string {
  let root = id;
  for (;;) {
    const { parent } = nodes.get(root)!;
    if (parent === undefined || target.has(parent)) return root;
    root = parent;
  }
}

/** Sorts nodes so that each comes after its parent. What has no parent in the list comes as it is: the service refuses it. */
function parentsFirst(target: ReadonlyMap<string, TreeNode>): TreeNode[] {
  const sorted = new Set<TreeNode>();
  for (const node of target.values()) {
    const path: TreeNode[] = [];
    for (let each: TreeNode | undefined = node; each !== undefined && !sorted.has(each); ) {
      if (path.includes(each)) break;
      path.push(each);
      each = each.parent === undefined ? undefined : target.get(each.parent);
    }
    for (const each of path.reverse()) sorted.add(each);
  }
  return [...sorted];
}

function assertConfirmed(ending: number, before: number, confirmed: number | undefined): void {
  if (ending <= ENDING_UNCONFIRMED_MAX || ending <= before / 2 || confirmed === ending) return;
  throw new SyncRefused(
    'confirm_needed',
    `This would end ${ending} of ${before} nodes, and the access that people gave to them. Set confirmDeleted to ${ending} if that is meant.`,
    ending,
  );
}

/** Divides nodes into pages that the service reads. */
function* pagesOf(nodes: readonly TreeNode[], pageSize: number): Generator<TreeNode[]> {
  let page: TreeNode[] = [];
  let bytes = 0;
  for (const node of nodes) {
    const size = Buffer.byteLength(JSON.stringify(node)) + 1;
    if (page.length === pageSize || (page.length > 0 && bytes + size > PAGE_BYTES)) {
      yield page;
      page = [];
      bytes = 0;
    }
    page.push(node);
    bytes += size;
  }
  if (page.length > 0) yield page;
}
