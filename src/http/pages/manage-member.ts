import { z } from 'zod';
import { changeRole, findManagedMember, removeMember } from '../../domain/workspaces/members.ts';
import { mayIssueKeys, ROLES } from '../../domain/workspaces/roles.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { orLastOwner } from './change-workspace.ts';
import { formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import {
  findOwnWorkspace,
  presentMember,
  presentWorkspace,
  type WorkspaceCall,
  workspacePath,
} from './present-workspace.ts';

/** The page on which an owner or admin gives a member another role, or removes them. */

const none = undefined;

const roleForm = formSchema({ role: z.string().max(16).default(''), end_keys: z.literal('on').optional() });

/** Creates the rows of these pages. */
export function manageMemberRows(pages: Pages): Row[] {
  const user = 'signedInUser';
  const path = `${PAGES.workspaces}/:id/members/:member`;
  return [
    row('GET', path, user, none, memberPage(pages, 'workspace-member')),
    row('POST', path, user, none, saveRole(pages)),
    row('GET', `${path}/remove`, user, none, memberPage(pages, 'workspace-remove-member')),
    row('POST', `${path}/remove`, user, none, remove(pages)),
  ];
}

/** GET /workspaces/:id/members/:member and /remove. */
function memberPage(pages: Pages, template: string) {
  return operation({
    caller: 'signedInUser',
    summary: 'One member',
    handle: (call) => {
      const draft = call.caller.draft(pathOf(call));
      return showMember(pages, call, template, { role: draft?.role, endsKeys: draft?.end_keys === 'on' });
    },
  });
}

const pathOf = ({ params }: Pick<WorkspaceCall, 'params'>) =>
  workspacePath(params.id!, `/members/${params.member}`);

async function showMember(
  pages: Pages,
  call: WorkspaceCall,
  template: string,
  entered: { role?: string | undefined; endsKeys?: boolean; problem?: Problem } = {},
): Promise<HandlerResult> {
  const { deps, caller, params } = call;
  const { accountId } = caller.session;
  const membership = await findOwnWorkspace(call);
  const { member, roles } = await findManagedMember(deps, membership.workspaceId, accountId, params.member!);
  const { problem } = entered;
  return pages.show(caller, template, {
    workspace: presentWorkspace(membership),
    member: presentMember(member, { role: membership.role, accountId }),
    path: pathOf(call),
    roles,
    role: roles.find((each) => each === entered.role) ?? member.role,
    endsKeys: entered.endsKeys ?? false,
    hasKeys: mayIssueKeys(deps.config, member.role),
    problem,
  });
}

/** POST /workspaces/:id/members/:member: saves the role of a member. */
function saveRole(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Give them another role',
    form: roleForm,
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const endsKeys = body.end_keys !== undefined;
      const role = ROLES.find((each) => each === body.role);
      const refuse = (problem: Problem) =>
        showMember(pages, call, 'workspace-member', { role: body.role, endsKeys, problem });
      if (role === undefined) return refuse({ key: 'workspace.invite.badRole', field: 'role' });
      return orLastOwner(async () => {
        const change = { memberId: params.member!, role, endsKeys };
        await changeRole(deps, origin, caller.session.accountId, params.id!, change);
        return redirect(deps.config, workspacePath(params.id!), [], 'roleChanged');
      }, refuse);
    },
  });
}

/** POST /workspaces/:id/members/:member/remove: removes a member. */
function remove(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Remove them',
    form: formSchema({}),
    handle: (call) =>
      orLastOwner(
        async () => {
          const { deps, origin, caller, params } = call;
          await removeMember(deps, origin, caller.session.accountId, params.id!, params.member!);
          return redirect(deps.config, workspacePath(params.id!), [], 'memberRemoved');
        },
        (problem) => showMember(pages, call, 'workspace-remove-member', { problem }),
      ),
  });
}
