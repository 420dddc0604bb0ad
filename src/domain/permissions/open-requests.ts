import type { Deps } from '../../deps.ts';
import type { PermissionRequest } from '../../lib/artifacts/permission-request.ts';
import { listAgentNames } from '../../store/agents.ts';
import {
  listOpenRequestsOfAgents,
  listOpenRequestsOfOwner,
  type PermissionRequestRow,
} from '../../store/permission-requests.ts';
import { requestLink } from './request-codes.ts';

/** What agents ask of their owners, until it is decided. */

/** An open request in a list. */
export interface OpenPermissionRequest {
  id: string;
  agentId: string | undefined;
  /** Of the agent, as its owner or itself named it. */
  name: string | undefined;
  /** Epoch ms. */
  askedAt: number;
  /** How many places it asks for, and the one action that it is for. */
  permissions: number;
  action: string | undefined;
  /** Where it is decided: the path of a page. */
  path: string;
}

/** Lists the newest open requests of the agents of a human. */
export async function listOpenRequests(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring' | 'config'>,
  ownerId: string,
): Promise<OpenPermissionRequest[]> {
  return describe(deps, await listOpenRequestsOfOwner(deps.db, ownerId, deps.clock()));
}

/** Lists the newest open requests of an agent. */
export async function listOpenRequestsOf(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring' | 'config'>,
  agentId: string,
): Promise<OpenPermissionRequest[]> {
  return describe(deps, await listOpenRequestsOfAgents(deps.db, [agentId], deps.clock()));
}

/** Finds where the newest open request of each agent of a page is decided. @returns paths of pages by agent id */
export async function findReviewPaths(
  deps: Pick<Deps, 'db' | 'clock' | 'keyring' | 'config'>,
  agentIds: readonly string[],
): Promise<Map<string, string>> {
  const rows = await listOpenRequestsOfAgents(deps.db, agentIds, deps.clock());
  return new Map(rows.toReversed().map((row) => [row.agentId!, pathOf(deps, row)]));
}

function pathOf(deps: Pick<Deps, 'keyring' | 'config'>, row: PermissionRequestRow): string {
  return requestLink(deps, row).slice(deps.config.publicUrl.length);
}

async function describe(
  deps: Pick<Deps, 'db' | 'keyring' | 'config'>,
  rows: readonly PermissionRequestRow[],
): Promise<OpenPermissionRequest[]> {
  const shown = rows.slice(0, 20);
  const names = await listAgentNames(deps.db, [...new Set(shown.flatMap(({ agentId }) => agentId ?? []))]);
  return shown.map((row) => {
    const { permissions = [], action } = JSON.parse(row.artifact) as PermissionRequest;
    return {
      id: row.id,
      agentId: row.agentId ?? undefined,
      name: names.get(row.agentId ?? '') ?? undefined,
      askedAt: row.createdAt,
      permissions: permissions.length,
      action,
      path: pathOf(deps, row),
    };
  });
}
