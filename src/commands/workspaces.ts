import { type Command, Option } from 'commander';
import {
  type FoundWorkspace,
  findWorkspaces,
  type ShownWorkspace,
  showWorkspace,
  WORKSPACE_STATUSES,
} from '../domain/operators/workspaces.ts';
import { deleteWorkspaceAsOperator } from '../domain/workspaces/workspaces.ts';
import { Failure } from '../errors.ts';
import { displayName } from '../lib/untrusted-text.ts';
import { reasonOption, type Shell } from './shell.ts';

interface ListOptions {
  status?: (typeof WORKSPACE_STATUSES)[number];
  before?: string;
}

/** Adds `workspace …`: lists, shows and deletes shared workspaces. */
export function addWorkspaceCommands(program: Command, shell: Shell): void {
  const workspace = program.command('workspace').description('shared workspaces; mailboxes are masked');
  workspace
    .command('list [text]')
    .description('newest first: by the start of an id or name, the mailbox or account of a member')
    .addOption(new Option('--status <status>', 'only these').choices(WORKSPACE_STATUSES))
    .option('--before <mark>', 'go on before this mark')
    .action((text: string | undefined, { status, before }: ListOptions) =>
      shell.withDatabase(async (deps) => {
        const { items: workspaces, next } = await findWorkspaces(deps, {
          search: text ?? '',
          status,
          before,
        });
        const lines = workspaces.map(
          ({ id, name, members, endedAt }) =>
            `${id}  ${displayName(name)}  (${endedAt === undefined ? membersText(members) : 'deleted'})`,
        );
        if (next !== undefined) lines.push(`There may be more. Go on with --before ${next}`);
        shell.say(
          { workspaces: workspaces.map(workspaceJson), next_before: next },
          lines.join('\n') || 'None.',
        );
      }),
    );
  workspace
    .command('show <id>')
    .description('one workspace: who is in it, and what works there')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        const found = await showWorkspace(deps, id);
        if (found === undefined) return shell.notFound('workspace');
        const json = shownJson(found);
        shell.say(json, JSON.stringify(json, null, 2));
      }),
    );
  workspace
    .command('delete <id>')
    .description('end a workspace with all that is in it; its owners are mailed. There is no undo')
    .addOption(reasonOption())
    .action((id: string, { reason }: { reason?: string }) =>
      shell.withDatabase(async (deps) => {
        try {
          await deleteWorkspaceAsOperator(deps, shell.origin(), { accountId: undefined, reason }, id);
        } catch (error) {
          if (error instanceof Failure && error.kind === 'notFound') return shell.notFound('workspace');
          throw error;
        }
        shell.say({ deleted: id }, `${id} is deleted.`);
      }),
    );
}

function membersText(members: number): string {
  return members === 1 ? '1 member' : `${members} members`;
}

function workspaceJson({ id, name, members, createdAt, endedAt }: FoundWorkspace): object {
  return {
    workspace_id: id,
    name: displayName(name),
    status: endedAt === undefined ? 'active' : 'ended',
    member_count: members,
    created_at: toIso(createdAt),
    ended_at: endedAt === undefined ? undefined : toIso(endedAt),
  };
}

function shownJson(found: ShownWorkspace): object {
  const { workspace, createdBy, members, openInvitations, holders, trees } = found;
  return {
    ...workspaceJson(workspace),
    created_by: createdBy.id,
    members: members.map(({ accountId, mailbox, role, joinedAt }) => ({
      user_id: accountId,
      mailbox,
      role,
      joined_at: toIso(joinedAt),
    })),
    open_invitations: openInvitations,
    ...holders,
    nodes: Object.fromEntries(trees.map(({ resource, nodes }) => [resource, nodes])),
  };
}

const toIso = (at: number) => new Date(at).toISOString();
