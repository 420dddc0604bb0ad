import { z } from 'zod';
import { listConnectableApis } from '../../domain/audiences/connect-workspace.ts';
import { listAppNodes } from '../../domain/credentials/app-keys.ts';
import { listWorkspaceKeys } from '../../domain/credentials/workspace-keys.ts';
import { listHoldersIn } from '../../domain/workspaces/holders.ts';
import { listInvitationsOf } from '../../domain/workspaces/invitations.ts';
import { countMembersOf, countOwnersOf, listMembersOf } from '../../domain/workspaces/members.ts';
import { listGrantableRoles, mayIssueKeys, ROLES } from '../../domain/workspaces/roles.ts';
import { listWorkspaceActivity } from '../../domain/workspaces/workspace-activity.ts';
import { createWorkspace, listWorkspacesOf } from '../../domain/workspaces/workspaces.ts';
import { Failure } from '../../errors.ts';
import { PAGE_ROWS } from '../../lib/list-pages.ts';
import { PAGES } from '../../lib/page-paths.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { type HandlerResult, operation } from '../server/table.ts';
import { presentApps } from './app-keys.ts';
import { formSchema, type Problem } from './forms.ts';
import { type ListView, presentPaging, readMark } from './lists.ts';
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
import { HOLDER_LISTS, presentHolder } from './workspace-holders.ts';
import { presentWorkspaceKey } from './workspace-keys.ts';

/** The pages of shared workspaces for their members. Everybody else gets 404, as for a workspace that is not there. */

/** GET /workspaces: lists the workspaces that the human is in. */
export function workspacesPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'My workspaces',
    async handle({ deps, caller }) {
      const { session } = caller;
      if (!session.hasWorkspaces) throw notOffered();
      const workspaces = await listWorkspacesOf(deps, session.accountId);
      return pages.show(caller, 'workspaces', {
        workspaces: workspaces.map(({ workspaceId, name, role, joinedAt }) => ({
          id: workspaceId,
          name: displayName(name),
          role,
          joinedAt,
        })),
      });
    },
  });
}

/** GET /workspaces/new: shows the form for a new workspace. */
export function newWorkspacePage(pages: Pages) {
  return operation({
    caller: 'recentlyVerifiedUser',
    summary: 'What a new workspace needs',
    handle({ caller }) {
      if (!caller.session.hasWorkspaces) throw notOffered();
      return pages.show(caller, 'workspace-form', { name: caller.draft(PAGES.newWorkspace)?.name ?? '' });
    },
  });
}

/** POST /workspaces/new: creates a workspace. */
export function createWorkspaceOperation(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedUser',
    summary: 'Create a workspace',
    form: formSchema({ name: z.string().trim().max(64).default('') }),
    async handle({ deps, origin, caller, body: { name } }) {
      const refuse = (problem: Problem) => pages.show(caller, 'workspace-form', { name, problem }, 400);
      if (!hasName(name)) return refuse({ key: 'workspace.nameMissing', field: 'name' });
      try {
        const id = await createWorkspace(deps, origin, caller.session.accountId, name);
        return redirect(deps.config, workspacePath(id), [], 'workspaceCreated');
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'tooMany') throw error;
        return refuse({ key: 'workspace.tooMany.owned', values: { count: error.details.maximum! } });
      }
    },
  });
}

/** GET /workspaces/:id: shows a workspace: members, invitations, activity, settings. */
export function workspacePage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'One workspace',
    handle: (call) => {
      const { caller, params } = call;
      const draft = caller.draft(workspacePath(params.id!, '/invite'));
      return showWorkspace(pages, call, { invite: draft });
    },
  });
}

/** How many events stand on the page of a workspace. */
const EVENTS_SHOWN = 5;
/** How many keys, and how many apps, do. */
const KEYS_SHOWN = 5;

/**
 * Shows a workspace.
 *
 * @param entered what was typed into the form of invitations, and what is wrong with it
 */
export async function showWorkspace(
  pages: Pages,
  call: WorkspaceCall,
  { invite = {}, problem }: { invite?: Record<string, string> | undefined; problem?: Problem } = {},
): Promise<HandlerResult> {
  const { deps, caller } = call;
  const membership = await findOwnWorkspace(call);
  const { workspaceId, role } = membership;
  const { accountId } = caller.session;
  const workspace = presentWorkspace(membership);
  const [members, memberCount, invitations, keys, apps, agents, connectedApps, events, apis] =
    await Promise.all([
      listMembersOf(deps, workspaceId),
      countMembersOf(deps, workspaceId),
      workspace.isManaged ? listInvitationsOf(deps, workspaceId, accountId) : [],
      listWorkspaceKeys(deps, membership, { rows: KEYS_SHOWN }),
      workspace.isManaged ? listAppNodes(deps, workspaceId, { rows: KEYS_SHOWN }) : undefined,
      listHoldersIn(deps, 'agent', membership),
      listHoldersIn(deps, 'app', membership),
      listWorkspaceActivity(deps, workspaceId, accountId, { rows: EVENTS_SHOWN }),
      role === 'owner' ? listConnectableApis(deps, membership) : [],
    ]);
  const grantable = listGrantableRoles(role);
  return pages.show(caller, 'workspace', {
    workspace,
    members: members.items.map((member) => presentMember(member, { role, accountId })),
    memberCount,
    hasAllMembers: members.next === undefined,
    isOnlyOwner: role === 'owner' && (await countOwnersOf(deps, workspaceId)) === 1,
    invitations: invitations.map((each) => ({ ...each, canWithdraw: grantable.includes(each.role) })),
    invitationSeconds: deps.config.limits.invitationTtlSeconds,
    keys: keys.items.map(presentWorkspaceKey),
    hasMoreKeys: keys.next !== undefined,
    mayCreateKeys: mayIssueKeys(deps.config, role),
    apps: await presentApps(deps, apps?.items ?? []),
    hasMoreApps: apps?.next !== undefined,
    grantable,
    roles: ROLES,
    email: invite.email ?? '',
    role: grantable.find((each) => each === invite.role) ?? 'member',
    holderLists: [
      {
        list: 'agents',
        path: HOLDER_LISTS.agents.path,
        holders: agents.items.map(presentHolder),
        hasMore: agents.next !== undefined,
      },
      {
        list: 'connectedApps',
        path: HOLDER_LISTS.connectedApps.path,
        holders: connectedApps.items.map(presentHolder),
        hasMore: connectedApps.next !== undefined,
      },
    ].filter(({ holders }) => workspace.isManaged || holders.length > 0),
    events: events.items,
    apis: apis.map((api) => ({ ...api, name: displayName(api.name), host: new URL(api.url).host })),
    hasMoreEvents: events.next !== undefined,
    problem,
  });
}

/** GET /workspaces/:id/members: lists all members, a page at a time. */
export function membersPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'Its members',
    async handle(call) {
      const { deps, caller, query } = call;
      const membership = await findOwnWorkspace(call);
      const { workspaceId, role } = membership;
      const { accountId } = caller.session;
      const [page, memberCount] = await Promise.all([
        listMembersOf(deps, workspaceId, readMark(query)),
        countMembersOf(deps, workspaceId),
      ]);
      const view: ListView = { path: workspacePath(workspaceId, '/members'), query, parameters: [] };
      return pages.show(caller, 'workspace-members', {
        workspace: presentWorkspace(membership),
        members: page.items.map((member) => presentMember(member, { role, accountId })),
        memberCount,
        paging: presentPaging(view, page),
      });
    },
  });
}

/** GET /workspaces/:id/activity: lists what happened in a workspace, a page at a time. */
export function workspaceActivityPage(pages: Pages) {
  return operation({
    caller: 'signedInUser',
    summary: 'What happened in it',
    async handle(call) {
      const { deps, caller, query } = call;
      const membership = await findOwnWorkspace(call);
      const { workspaceId } = membership;
      const page = await listWorkspaceActivity(deps, workspaceId, caller.session.accountId, {
        at: readMark(query),
        rows: PAGE_ROWS,
      });
      const view: ListView = { path: workspacePath(workspaceId, '/activity'), query, parameters: [] };
      return pages.show(caller, 'workspace-activity', {
        workspace: presentWorkspace(membership),
        events: page.items,
        isByDay: true,
        paging: { ...presentPaging(view, page, { isByTime: true }), note: 'common.utc' },
      });
    },
  });
}

function notOffered(): Failure {
  return new Failure('notFound', 'This service has no workspaces.');
}
