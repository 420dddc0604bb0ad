import { putHuman, putNode, putPlacedKey } from './placed-keys.ts';
import { idAt, type Put } from './rows.ts';

/** Workspaces with as many members, nodes and placed keys as there are agents, and one at its limits. */

/** The API whose trees they are. */
export const RESOURCE = 'https://api.example.com';
/** The name of the workspace at its limits. */
export const LARGE = 'Large';

/** How many a workspace has of each. */
interface Size {
  members: number;
  nodes: number;
  keys: number;
}

const USUAL: Size = { members: 100, nodes: 100, keys: 100 };
const LIMITS: Size = { members: 200, nodes: 10_000, keys: 500 };
/** In how many workspaces a person is. */
const WORKSPACES_EACH = 10;
/** How many nodes are right below a workspace; each has as many others in it as the rest gives. */
const ROOTS = 10;

/**
 * Puts workspaces straight into a database.
 *
 * @param total how many members, nodes and keys there are in all, beside the workspace at its limits
 * @param flush writes what was put so far
 */
export async function putWorkspaces(
  put: Put,
  flush: () => Promise<void>,
  at: number,
  total: number,
): Promise<void> {
  const people: string[] = [];
  while (people.length < Math.max(LIMITS.members, total / WORKSPACES_EACH)) {
    people.push(putHuman(put, at));
    if (people.length % 5000 === 0) await flush();
  }
  for (let index = 0; index < total / USUAL.members; index += 1) {
    const first = (index * USUAL.members) % people.length;
    await putWorkspace(put, flush, at, `Team ${index}`, people, first, USUAL);
  }
  await putWorkspace(put, flush, at, LARGE, people, 0, LIMITS);
}

async function putWorkspace(
  put: Put,
  flush: () => Promise<void>,
  at: number,
  name: string,
  people: readonly string[],
  first: number,
  size: Size,
): Promise<void> {
  const wsp = idAt('wsp', at);
  const members = Array.from(
    { length: size.members },
    (_, index) => people[(first + index) % people.length]!,
  );
  put('workspaces', { id: wsp, name, created_by: members[0]!, created_at: at });
  for (const [index, account] of members.entries()) {
    const role = index === 0 ? 'owner' : index < 10 ? 'admin' : 'member';
    put('members', { workspace_id: wsp, account_id: account, role, joined_at: at + index });
  }
  const tree = { resource: RESOURCE, workspace_id: wsp, nodes: size.nodes, changed_at: at };
  put('trees', tree);
  const nodes: string[] = [];
  while (nodes.length < size.nodes) {
    const parentId = nodes.length < ROOTS ? null : nodes[nodes.length % ROOTS]!;
    const externalId = `n_${nodes.length}`;
    nodes.push(putNode(put, at, { resource: RESOURCE, workspaceId: wsp, externalId, parentId }));
  }
  for (let index = 0; index < size.keys; index += 1) {
    // Of owner and admins, who may make keys; half of them on a node.
    const usr = members[index % 10]!;
    const node_id = index % 2 === 0 ? nodes[index % nodes.length]! : null;
    putPlacedKey(put, at + index, usr, RESOURCE, [{ workspace_id: wsp, node_id, path: null }]);
  }
  await flush();
}
