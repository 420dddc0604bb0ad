import { PAGES } from '../../lib/page-paths.ts';
import { type Row, row } from '../server/table.ts';
import { appKeyRows } from './app-keys.ts';
import { changeWorkspaceRows } from './change-workspace.ts';
import { invitationRows } from './invitation.ts';
import { manageMemberRows } from './manage-member.ts';
import type { Pages } from './pages.ts';
import { connectedAppRows } from './workspace-connected-apps.ts';
import { HOLDER_LISTS, type HolderList, holdersPage } from './workspace-holders.ts';
import { workspaceKeyRows } from './workspace-keys.ts';
import * as workspaces from './workspaces.ts';

const none = undefined;

/** Creates the rows of the pages of shared workspaces, and of invitations to them. */
export function workspaceRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  const path = `${PAGES.workspaces}/:id` as const;
  return [
    row('GET', PAGES.workspaces, user, none, workspaces.workspacesPage(pages)),
    row('GET', PAGES.newWorkspace, recent, none, workspaces.newWorkspacePage(pages)),
    row('POST', PAGES.newWorkspace, recent, none, workspaces.createWorkspaceOperation(pages)),
    row('GET', path, user, none, workspaces.workspacePage(pages)),
    row('GET', `${path}/members`, user, none, workspaces.membersPage(pages)),
    ...(Object.keys(HOLDER_LISTS) as HolderList[]).map((list) =>
      row('GET', `${path}${HOLDER_LISTS[list].path}`, user, none, holdersPage(pages, list)),
    ),
    row('GET', `${path}/activity`, user, none, workspaces.workspaceActivityPage(pages)),
    ...connectedAppRows(path),
    ...changeWorkspaceRows(pages),
    ...manageMemberRows(pages),
    ...workspaceKeyRows(pages),
    ...appKeyRows(pages),
    ...invitationRows(pages),
  ];
}
