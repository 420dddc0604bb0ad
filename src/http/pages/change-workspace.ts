import { z } from 'zod';
import { connectApi } from '../../domain/audiences/connect-workspace.ts';
import { inviteToWorkspace, withdrawInvitation } from '../../domain/workspaces/invitations.ts';
import { leaveWorkspace, listAllMembersOf, transferWorkspace } from '../../domain/workspaces/members.ts';
import { ROLES } from '../../domain/workspaces/roles.ts';
import {
  deleteWorkspace,
  isOffered,
  renameWorkspace,
  roleForbids,
} from '../../domain/workspaces/workspaces.ts';
import { Failure } from '../../errors.ts';
import { parseMailbox } from '../../lib/mailbox.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { type HandlerResult, operation, type Row, row } from '../server/table.ts';
import { formSchema, type Problem } from './forms.ts';
import { formOperation } from './operations.ts';
import { type Pages, redirect } from './pages.ts';
import {
  findOwnWorkspace,
  hasName,
  presentMember,
  presentWorkspace,
  type WorkspaceCall,
  workspacePath,
} from './present-workspace.ts';
import { showWorkspace } from './workspaces.ts';

/** The pages that change a workspace. A GET only asks; the POST to the same path acts. */

const none = undefined;

const inviteForm = formSchema({
  email: z.string().max(320).default(''),
  role: z.string().max(16).default(''),
});

/** Creates the rows of these pages. */
export function changeWorkspaceRows(pages: Pages): Row[] {
  const [user, recent] = ['signedInUser', 'recentlyVerifiedUser'] as const;
  const path = `${PAGES.workspaces}/:id`;
  return [
    row('POST', `${path}/invite`, recent, none, invite(pages)),
    row('POST', `${path}/withdraw`, user, none, withdraw),
    row('POST', `${path}/connect`, recent, none, connect(pages)),
    row('GET', `${path}/rename`, user, none, actPage(pages, 'rename')),
    row('POST', `${path}/rename`, user, none, rename(pages)),
    row('GET', `${path}/leave`, user, none, actPage(pages, 'leave')),
    row('POST', `${path}/leave`, user, none, leave(pages)),
    row('GET', `${path}/transfer`, recent, none, actPage(pages, 'transfer')),
    row('POST', `${path}/transfer`, recent, none, transfer(pages)),
    row('GET', `${path}/delete`, recent, none, actPage(pages, 'delete')),
    row('POST', `${path}/delete`, recent, none, remove(pages)),
  ];
}

/** POST /workspaces/:id/invite: invites a mailbox. The answer does not say whether it has an account, or is in it already. */
function invite(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Invite somebody',
    form: inviteForm,
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const id = params.id!;
      const refuse = (problem: Problem) =>
        showWorkspace(pages, call, { invite: { email: body.email, role: body.role }, problem });
      const mailbox = parseMailbox(body.email);
      if (mailbox === undefined) return refuse({ key: 'workspace.invite.badEmail', field: 'email' });
      const role = ROLES.find((each) => each === body.role);
      if (role === undefined) return refuse({ key: 'workspace.invite.badRole', field: 'role' });
      try {
        await inviteToWorkspace(deps, origin, caller.session.accountId, id, { mailbox, role });
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'tooMany') throw error;
        const { field, maximum } = error.details;
        const key =
          field === 'members' ? 'workspace.tooMany.members' : ('workspace.tooMany.invitations' as const);
        return refuse({ key, values: { count: maximum! }, field: 'email' });
      }
      return redirect(deps.config, `${workspacePath(id)}`, [], 'invitationSent');
    },
  });
}

/** POST /workspaces/:id/withdraw: withdraws an open invitation. */
const withdraw = formOperation({
  caller: 'signedInUser',
  summary: 'Withdraw an invitation',
  form: formSchema({ invitation: z.string().max(64) }),
  async handle({ deps, origin, caller, body, params }) {
    await withdrawInvitation(deps, origin, caller.session.accountId, params.id!, body.invitation);
    return redirect(deps.config, workspacePath(params.id!), [], 'invitationWithdrawn');
  },
});

/** POST /workspaces/:id/connect: connects an API that is not told of all workspaces. */
function connect(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Connect an API to it',
    form: formSchema({ api: z.string().max(64).default('') }),
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      try {
        await connectApi(deps, origin, caller.session.accountId, params.id!, body.api);
      } catch (error) {
        if (!(error instanceof Failure) || error.details.field !== 'api') throw error;
        return showWorkspace(pages, call, { problem: { key: 'workspace.connect.gone', field: 'settings' } });
      }
      return redirect(deps.config, workspacePath(params.id!), [], 'workspaceConnected');
    },
  });
}

type Act = 'rename' | 'leave' | 'transfer' | 'delete';

/** The roles that may do it. */
const ROLES_OF: Record<Act, readonly string[]> = {
  rename: ['owner', 'admin'],
  leave: ROLES,
  transfer: ['owner'],
  delete: ['owner'],
};

/** GET of one of these pages: asks first. */
function actPage(pages: Pages, act: Act) {
  return operation({
    caller: act === 'transfer' || act === 'delete' ? 'recentlyVerifiedUser' : 'signedInUser',
    summary: 'Ask before it',
    handle: (call) => {
      const draft = call.caller.draft(workspacePath(call.params.id!, `/${act}`));
      return showAct(pages, call, act, { typed: draft?.name, memberId: draft?.member });
    },
  });
}

interface Entered {
  typed?: string | undefined;
  memberId?: string | undefined;
  problem?: Problem;
}

async function showAct(
  pages: Pages,
  call: WorkspaceCall,
  act: Act,
  { typed, memberId, problem }: Entered = {},
): Promise<HandlerResult> {
  const { deps, caller } = call;
  const membership = await findOwnWorkspace(call);
  const { workspaceId, role } = membership;
  if (!ROLES_OF[act].includes(role)) throw roleForbids();
  const { accountId } = caller.session;
  const members = act === 'transfer' ? await listAllMembersOf(deps, workspaceId) : [];
  const workspace = presentWorkspace(membership);
  return pages.show(caller, 'workspace-act', {
    act,
    workspace,
    typed: typed ?? (act === 'rename' ? membership.name : ''),
    memberId,
    members: members
      .filter((member) => member.accountId !== accountId)
      .map((member) => presentMember(member, { role, accountId })),
    problem,
  });
}

/** POST /workspaces/:id/rename. */
function rename(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Rename it',
    form: formSchema({ name: z.string().trim().max(64).default('') }),
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      if (!hasName(body.name)) {
        const problem: Problem = { key: 'workspace.nameMissing', field: 'name' };
        return showAct(pages, call, 'rename', { typed: body.name, problem });
      }
      await renameWorkspace(deps, origin, caller.session.accountId, params.id!, body.name);
      return redirect(deps.config, workspacePath(params.id!), [], 'workspaceRenamed');
    },
  });
}

/** POST /workspaces/:id/leave. */
function leave(pages: Pages) {
  return formOperation({
    caller: 'signedInUser',
    summary: 'Leave it',
    form: formSchema({}),
    handle: (call) =>
      orLastOwner(
        async () => {
          await leaveWorkspace(call.deps, call.origin, call.caller.session.accountId, call.params.id!);
          return redirect(call.deps.config, await listPathOf(call), [], 'workspaceLeft');
        },
        (problem) => showAct(pages, call, 'leave', { problem }),
      ),
  });
}

/** POST /workspaces/:id/transfer. */
function transfer(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Make another member the owner',
    form: formSchema({ member: z.string().max(64).default('') }),
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      try {
        await transferWorkspace(deps, origin, caller.session.accountId, params.id!, body.member);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'notFound') throw error;
        // The workspace itself may be what is not found: then showing it says so.
        const problem: Problem = { key: 'workspace.transfer.choose', field: 'member' };
        return showAct(pages, call, 'transfer', { memberId: body.member, problem });
      }
      return redirect(deps.config, workspacePath(params.id!), [], 'workspaceTransferred');
    },
  });
}

/** POST /workspaces/:id/delete: deletes a workspace whose name was typed. */
function remove(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Delete it',
    form: formSchema({ name: z.string().max(256).default('') }),
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const membership = await findOwnWorkspace(call);
      const { name } = presentWorkspace(membership);
      const typed = body.name.normalize('NFC').trim();
      if (typed !== name && typed !== membership.name.normalize('NFC').trim()) {
        const problem: Problem = { key: 'workspace.delete.wrong', values: { name }, field: 'name' };
        return showAct(pages, call, 'delete', { typed: body.name, problem });
      }
      await deleteWorkspace(deps, origin, caller.session.accountId, params.id!);
      return redirect(deps.config, await listPathOf(call), [], 'workspaceDeleted');
    },
  });
}

/** The list of workspaces, if the human is still shown it. */
async function listPathOf({ deps, caller }: Pick<WorkspaceCall, 'deps' | 'caller'>): Promise<`/${string}`> {
  return (await isOffered(deps, caller.session.accountId)) ? PAGES.workspaces : PAGES.agents;
}

/** Runs what takes an owner away, and shows a page if it is the last one. */
export async function orLastOwner(
  act: () => Promise<HandlerResult>,
  refuse: (problem: Problem) => Promise<HandlerResult>,
): Promise<HandlerResult> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'lastOwner') throw error;
    return refuse({ key: 'workspace.problem.lastOwner' });
  }
}
