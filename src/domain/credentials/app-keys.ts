import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type ListMark, type ListPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { formatScope } from '../../lib/scopes.ts';
import { lockAccount } from '../../store/accounts.ts';
import { findCredential } from '../../store/credentials.ts';
import { findNode, listNodesOfKinds, type NodeRow } from '../../store/nodes.ts';
import { lockTree } from '../../store/trees.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import type { IdempotentRequest } from '../limits/idempotency.ts';
import { useCase } from '../limits/use-case.ts';
import { assertRoomForKey, givePlaces } from '../workspaces/give-places.ts';
import { isManager } from '../workspaces/roles.ts';
import { lockWorkspaceAs, requireMember, roleForbids } from '../workspaces/workspaces.ts';
import { issueKey, type Key, lifetimeFrom, toKey } from './issue.ts';

/**
 * Keys of things in a workspace, such as apps, and of no person: a key looks at its one thing, outlives its maker's membership, and
 * ends with the thing or the workspace.
 */

/** A thing that can have keys of its own. */
export type AppNode = NodeRow;

/** Lists a page of the things of a workspace that can have keys, in the order in which their APIs told them. */
export function listAppNodes(
  { db, config }: Pick<Deps, 'db' | 'config'>,
  workspaceId: string,
  { at, rows }: { at?: ListMark | undefined; rows?: number } = {},
): Promise<ListPage<AppNode>> {
  return readPage(
    parseIdMark(at),
    rows,
    (place, limit) => listNodesOfKinds(db, workspaceId, config.workspaces.appKinds, place, limit),
    (node) => node.id,
  );
}

/**
 * Finds a thing that can have keys, as an owner or admin of its workspace.
 *
 * @throws Failure `notFound`, also for a thing of another workspace or kind; `forbidden` for members and viewers
 */
export async function findAppNode(
  deps: Pick<Deps, 'db' | 'config'>,
  accountId: string,
  workspaceId: string,
  nodeId: string,
): Promise<AppNode> {
  const { role } = await requireMember(deps.db, workspaceId, accountId);
  if (!isManager(role)) throw roleForbids();
  return requireAppNode(deps, await findNode(deps.db, nodeId), workspaceId);
}

/**
 * Creates a key of a thing. It may look, and nothing else.
 *
 * @param request.nodeId our id of the thing
 * @param request.days its lifetime; undefined: until it is ended
 * @param idempotency makes a form that is sent twice create one key
 * @returns the key, and its secret, of which only the hash is stored
 * @throws Failure as findAppNode(); `tooMany` with field `keys` if too many work in the workspace
 */
export function createAppKey(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  request: { workspaceId: string; nodeId: string; name: string; days: number | undefined },
  idempotency: IdempotentRequest,
): Promise<{ key: Key; credential: string }> {
  const { workspaceId, name, days } = request;
  return useCase(deps, origin, { idempotency }, async (work) => {
    const { tx, now } = work;
    const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (!isManager(role)) throw roleForbids();
    const node = await lockAppNode(work, workspaceId, request.nodeId);
    if (!(await lockAccount(tx, accountId))) throw new Failure('signInRequired', 'Sign in first.');
    await assertRoomForKey(work, [{ workspaceId }]);
    const scopes = deps.config.lookingScopes;
    const { id, credential } = await issueKey(work, {
      agentId: undefined,
      accountId,
      isAppKey: true,
      isPlaced: true,
      name,
      scopes,
      ...lifetimeFrom(now, days),
    });
    await recordAndNotify(work, accountId, {
      kind: 'app_key.made',
      workspaceId,
      subject: id,
      details: { scope: formatScope(scopes), node: node.id },
    });
    const place = { workspaceId, resource: node.resource, nodeId: node.id, path: null, types: null };
    await givePlaces(work, id, workspaceId, [{ ...place, actions: formatScope(scopes) }]);
    return { key: toKey((await findCredential(tx, id))!), credential };
  });
}

/** Locks the tree of a thing, so that it does not end before its key has its place. */
async function lockAppNode(work: Work, workspaceId: string, nodeId: string): Promise<AppNode> {
  const { tx, now, deps } = work;
  const { resource } = requireAppNode(deps, await findNode(tx, nodeId), workspaceId);
  await lockTree(tx, resource, workspaceId, now);
  return requireAppNode(deps, await findNode(tx, nodeId), workspaceId);
}

function requireAppNode(
  { config }: Pick<Deps, 'config'>,
  node: NodeRow | undefined,
  workspaceId: string,
): AppNode {
  if (node?.workspaceId === workspaceId && config.workspaces.appKinds.includes(node.kind)) return node;
  throw new Failure('notFound', 'There is no such app in this workspace.');
}
