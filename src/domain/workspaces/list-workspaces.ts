import type { Deps } from '../../deps.ts';
import { listMembersOf, type MemberRow } from '../../store/members.ts';
import { listWorkspacesAfter, type WorkspaceRow } from '../../store/workspaces.ts';
import { assertUnderstandsWorkspaces, type TreeServer } from './told-workspaces.ts';

/** A shared workspace as a resource server is told of it. */
export interface ToldWorkspace extends Pick<WorkspaceRow, 'id' | 'name' | 'createdAt' | 'endedAt'> {
  /** None, once it has ended. */
  members: Pick<MemberRow, 'accountId' | 'role'>[];
}

/** How many workspaces a page has. */
export const WORKSPACES_PAGE = 50;

/**
 * Reads a page of the shared workspaces that a resource server is told of, ended ones included, by id (P-5).
 *
 * @param after the last id of the page before; empty: from the first
 * @returns `next`: the `after` of the next page; undefined: this is the last
 * @throws Failure `forbidden` for a server that does not understand workspaces
 */
export async function readWorkspaces(
  { db }: Pick<Deps, 'db'>,
  server: TreeServer,
  after: string,
): Promise<{ workspaces: ToldWorkspace[]; next: string | undefined }> {
  assertUnderstandsWorkspaces(server);
  const connectedTo = server.hasAllWorkspaces ? undefined : server.url;
  const rows = await listWorkspacesAfter(db, after, connectedTo, WORKSPACES_PAGE + 1);
  const page = rows.slice(0, WORKSPACES_PAGE);
  const members = await listMembersOf(
    db,
    page.map(({ id }) => id),
  );
  const byWorkspace = Map.groupBy(members, ({ workspaceId }) => workspaceId);
  return {
    workspaces: page.map(({ id, name, createdAt, endedAt }) => ({
      id,
      name,
      createdAt,
      endedAt,
      members: (byWorkspace.get(id) ?? []).map(({ accountId, role }) => ({ accountId, role })),
    })),
    next: rows.length > WORKSPACES_PAGE ? page.at(-1)!.id : undefined,
  };
}
