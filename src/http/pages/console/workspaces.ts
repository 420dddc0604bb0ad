import {
  type FoundWorkspace,
  findWorkspaces,
  showWorkspace,
  WORKSPACE_STATUSES,
} from '../../../domain/operators/workspaces.ts';
import { deleteWorkspaceAsOperator } from '../../../domain/workspaces/workspaces.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { displayName } from '../../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { readOneOf } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { type Act, actRows, pathOfThing } from './acts.ts';
import { createMenu, readCursor, readSearch, showList } from './lists.ts';
import { showConsole } from './show.ts';

/** The console's pages of shared workspaces: the list, one of them, deleting it. */

const none = undefined;
const PATH = CONSOLE.workspaces;
const MENUS = [createMenu('workspaceStatus', WORKSPACE_STATUSES)];

export function workspaceRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, workspacesPage(pages)),
    row('GET', `${PATH}/:id`, 'operator', none, workspacePage(pages)),
    ...actRows(PATH, {
      name: 'delete',
      page: { summary: 'Ask before it' },
      deed: { summary: 'Delete it' },
      flash: 'workspaceDeleted',
      show: showDelete(pages),
      act: deleteWorkspaceAsOperator,
    }),
  ];
}

/** GET /console/workspaces: lists the workspaces that a search and a filter find. */
function workspacesPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All shared workspaces',
    async handle(call) {
      const { deps, query } = call;
      const page = await findWorkspaces(deps, {
        search: readSearch(query),
        status: readOneOf(query, 'workspaceStatus', WORKSPACE_STATUSES),
        before: readCursor(query),
      });
      const workspaces = page.items.map(present);
      return showList(pages, call, 'workspaces', 'workspaces', MENUS, page, { workspaces });
    },
  });
}

/** GET /console/workspaces/:id: one of them, also after it has ended. */
function workspacePage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'One of them',
    async handle({ deps, caller, params }) {
      const found = await showWorkspace(deps, params.id!);
      if (found === undefined) throw notFound();
      const values = { ...found, workspace: present(found.workspace) };
      return showConsole(pages, caller, 'workspaces', 'workspace', values);
    },
  });
}

/** Shows the page that asks before a workspace is deleted. */
function showDelete(pages: Pages): Act['show'] {
  return async ({ deps, caller, params }, entered) => {
    const found = await showWorkspace(deps, params.id!);
    if (found === undefined || found.workspace.endedAt !== undefined) throw notFound();
    const values = { workspace: present(found.workspace), ...entered };
    return showConsole(pages, caller, 'workspaces', 'workspace-delete', values);
  };
}

function present(workspace: FoundWorkspace) {
  return { ...workspace, name: displayName(workspace.name), path: pathOfThing(PATH, workspace.id) };
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such workspace.');
}
