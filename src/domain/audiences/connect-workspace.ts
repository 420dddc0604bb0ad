import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { findTree, listTrees, lockTree } from '../../store/trees.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import { lockWorkspaceAs, type Membership, roleForbids } from '../workspaces/workspaces.ts';
import { listResourceServers, type ResourceServer } from './resource-servers.ts';

/** APIs that learn of a workspace only when an owner connects them to it (P-5). An API is connected by its tree, empty at first. */

/** An API that is not told of all workspaces, as the page of one shows it. */
export interface ConnectableApi extends Pick<ResourceServer, 'id' | 'url' | 'name'> {
  isConnected: boolean;
}

/** Lists the APIs that are told of a workspace only if an owner connects them, each URL once. */
export async function listConnectableApis(
  deps: Pick<Deps, 'db'>,
  { workspaceId }: Pick<Membership, 'workspaceId'>,
): Promise<ConnectableApi[]> {
  const servers = (await listResourceServers(deps)).filter(isConnectable);
  if (servers.length === 0) return [];
  const connected = new Set((await listTrees(deps.db, workspaceId)).map(({ resource }) => resource));
  const byUrl = new Map(servers.toReversed().map((server) => [server.url, server]));
  return [...byUrl.values()]
    .toReversed()
    .map(({ id, url, name }) => ({ id, url, name, isConnected: connected.has(url) }));
}

/**
 * Connects an API to a workspace: from now on it is told of the workspace and its members, and can tell what is in it. Of one
 * that is connected already nothing changes.
 *
 * @param serverId `rs_…`
 * @throws Failure `notFound`; `forbidden` for all but owners; `badRequest` with field `api` for an API that cannot be connected
 */
export async function connectApi(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  serverId: string,
): Promise<void> {
  const server = (await listResourceServers(deps)).find(({ id }) => id === serverId);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
    if (role !== 'owner') throw roleForbids();
    if (server === undefined || !isConnectable(server)) {
      throw new Failure('badRequest', 'There is no such API to connect.', { field: 'api' });
    }
    if ((await findTree(tx, server.url, workspaceId)) !== undefined) return;
    await lockTree(tx, server.url, workspaceId, now);
    await recordEvent(work, {
      kind: 'workspace.connected',
      accountId,
      workspaceId,
      subject: server.id,
      details: { resource: server.url },
    });
  });
}

function isConnectable({ understandsWorkspaces, hasAllWorkspaces }: ResourceServer): boolean {
  return understandsWorkspaces && !hasAllWorkspaces;
}
