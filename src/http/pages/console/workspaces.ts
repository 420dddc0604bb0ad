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
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { formSchema, type Problem } from '../forms.ts';
import { readOneOf } from '../lists.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { createMenu, presentList, readCursor, readSearch } from './lists.ts';
import { readAct, reasonField } from './reason.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of shared workspaces: the list, one of them, deleting it. */

const none = undefined;
const PATH = CONSOLE.workspaces;
const MENUS = [createMenu('workspaceStatus', WORKSPACE_STATUSES)];

export function workspaceRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, workspacesPage(pages)),
    row('GET', `${PATH}/:id`, 'operator', none, workspacePage(pages)),
    row('GET', `${PATH}/:id/delete`, 'operator', none, deletePage(pages)),
    row('POST', `${PATH}/:id/delete`, 'recentlyVerifiedOperator', none, submitDelete(pages)),
  ];
}

/** GET /console/workspaces: lists the workspaces that a search and a filter find. */
function workspacesPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All shared workspaces',
    async handle({ deps, caller, query }) {
      const found = await findWorkspaces(deps, {
        search: readSearch(query),
        status: readOneOf(query, 'workspaceStatus', WORKSPACE_STATUSES),
        before: readCursor(query),
      });
      const { list, paging, problem } = presentList(PATH, query, MENUS, found);
      const values = { workspaces: found.workspaces.map(present), list, paging, problem };
      const status = problem === undefined ? 200 : 400;
      return showConsole(pages, caller, 'workspaces', 'workspaces', values, status);
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

/** GET /console/workspaces/:id/delete: asks first, and why. */
function deletePage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before it',
    handle: (call) => showDelete(pages, call, call.caller.draft(`${pathOf(call.params.id!)}/delete`)?.reason),
  });
}

/** POST /console/workspaces/:id/delete: deletes it. */
function submitDelete(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'Delete it',
    form: formSchema({ reason: reasonField }),
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const act = readAct(call, body.reason);
      if ('key' in act) return showDelete(pages, call, body.reason, act);
      await deleteWorkspaceAsOperator(deps, origin, act, params.id!);
      return redirect(deps.config, pathOf(params.id!), caller.cookies, 'workspaceDeleted');
    },
  });
}

async function showDelete(
  pages: Pages,
  { deps, caller, params }: Pick<OperatorCall, 'deps' | 'caller' | 'params'>,
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const found = await showWorkspace(deps, params.id!);
  if (found === undefined || found.workspace.endedAt !== undefined) throw notFound();
  const values = { workspace: present(found.workspace), reason, problem };
  const status = problem === undefined ? 200 : 400;
  return showConsole(pages, caller, 'workspaces', 'workspace-delete', values, status);
}

function pathOf(id: string): `/${string}` {
  return `${PATH}/${encodeURIComponent(id)}`;
}

function present(workspace: FoundWorkspace) {
  return { ...workspace, name: displayName(workspace.name), path: pathOf(workspace.id) };
}

function notFound(): Failure {
  return new Failure('notFound', 'There is no such workspace.');
}
