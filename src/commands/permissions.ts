import type { Command } from 'commander';
import { endPermissions } from '../domain/operators/permissions.ts';
import { listSessionKeysOf } from '../domain/permissions/agent-keys.ts';
import { describeGrants, listGrantsOfAgent } from '../domain/permissions/grants.ts';
import { formatCap } from '../lib/artifacts/capability-spec.ts';
import { singleLine } from '../lib/untrusted-text.ts';
import { reasonOption, type Shell } from './shell.ts';

/** Adds `permission …`: lists and ends session keys of agents, and what was granted to them. */
export function addPermissionCommands(program: Command, shell: Shell): void {
  const permission = program
    .command('permission')
    .description('session keys of agents, and what was granted to them by request');
  permission
    .command('list <agent>')
    .description('those of an agent that work')
    .action((agentId: string) =>
      shell.withDatabase(async (deps) => {
        const keys = await listSessionKeysOf(deps, agentId);
        const grants = await describeGrants(deps, await listGrantsOfAgent(deps, agentId));
        const iso = (at: number) => new Date(at).toISOString();
        const lines = [
          ...keys.map(({ thumbprint, createdAt }) => `${thumbprint}  session key since ${iso(createdAt)}`),
          ...grants.map(
            ({ row, permissions }) =>
              `${row.id}  until ${iso(row.expiresAt)}  ${permissions.map((each) => singleLine(formatCap(each), 1024)).join(' ')}`,
          ),
        ];
        shell.say(
          {
            session_keys: keys.map(({ thumbprint, origin, createdAt, seenAt }) => ({
              thumbprint,
              network: origin,
              created_at: iso(createdAt),
              last_used_at: seenAt === null ? undefined : iso(seenAt),
            })),
            grants: grants.map(({ row, permissions, artifact }) => ({
              id: row.id,
              granted_by: row.grantedBy,
              action: artifact.action,
              permissions,
              created_at: iso(row.createdAt),
              expires_at: iso(row.expiresAt),
            })),
          },
          lines.join('\n') || 'None.',
        );
      }),
    );
  permission
    .command('end <ids...>')
    .description('end grants (grt_…) and session keys (by their thumbprints), all or none')
    .addOption(reasonOption())
    .action((ids: string[], { reason }: { reason?: string }) =>
      shell.withDatabase(async (deps) => {
        const ended = await endPermissions(deps, shell.origin(), { accountId: undefined, reason }, ids);
        if (ended.length > 0) shell.say({ ended }, ended.map((id) => `${id} is ended.`).join('\n'));
        for (const id of ids.filter((each) => !ended.includes(each))) shell.notFound(`permission: ${id}`);
      }),
    );
}
