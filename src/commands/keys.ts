import { type Command, Option } from 'commander';
import {
  type FoundKey,
  findKeys,
  findKeysById,
  KEY_HOLDERS,
  KEY_STATUSES,
  revokeKeys,
} from '../domain/operators/keys.ts';
import { displayName } from '../lib/untrusted-text.ts';
import { parseIsoTime, reasonOption, type Shell, sayRevoked } from './shell.ts';

interface FindOptions {
  status?: (typeof KEY_STATUSES)[number];
  holder?: (typeof KEY_HOLDERS)[number];
  since?: number;
  before?: string;
}

/** Adds `key …`: finds, shows and revokes keys. */
export function addKeyCommands(program: Command, shell: Shell): void {
  const key = program.command('key').description('keys of agents and people');
  key
    .command('find [text]')
    .description(
      'newest first: by their first characters, the start of an id or name, a mailbox, an agent or account',
    )
    .addOption(new Option('--status <status>', 'only these').choices(KEY_STATUSES))
    .addOption(new Option('--holder <holder>', 'only these').choices(KEY_HOLDERS))
    .option('--since <time>', 'only those made at or after this ISO 8601 time', parseIsoTime)
    .option('--before <id>', 'go on before this key')
    .action((text: string | undefined, { status, holder, since, before }: FindOptions) =>
      shell.withDatabase(async (deps) => {
        const { items: keys, next } = await findKeys(deps, {
          search: text ?? '',
          status,
          holder,
          since,
          before,
        });
        const lines = keys.map(keyLine);
        if (next !== undefined) lines.push(`There may be more. Go on with --before ${next}`);
        shell.say({ keys: keys.map(keyJson), next_before: next }, lines.join('\n') || 'None.');
      }),
    );
  key
    .command('show <id>')
    .description('one key, without its secret')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        const [found] = await findKeysById(deps, [id]);
        if (found === undefined) return shell.notFound('key');
        shell.say(keyJson(found), JSON.stringify(keyJson(found), null, 2));
      }),
    );
  key
    .command('revoke <ids...>')
    .description('revoke keys or access tokens, all or none')
    .addOption(reasonOption())
    .action((ids: string[], { reason }: { reason?: string }) =>
      shell.withDatabase(async (deps) => {
        const revoked = await revokeKeys(deps, shell.origin(), { accountId: undefined, reason }, ids);
        sayRevoked(shell, 'key', ids, revoked, (id) => `${id} is revoked.`);
      }),
    );
}

function keyJson(key: FoundKey): object {
  return {
    key_id: key.id,
    prefix: key.prefix,
    name: key.name,
    agent_id: key.agentId,
    user_id: key.accountId,
    workspace: key.workspaceId,
    owner_mailbox: key.owner?.mailbox,
    scope: key.scopes.join(' '),
    resources: key.resources,
    status: key.status,
    created_at: new Date(key.createdAt).toISOString(),
    expires_at: key.expiresAt && new Date(key.expiresAt).toISOString(),
    last_used_at: key.lastUse && new Date(key.lastUse.at).toISOString(),
  };
}

function keyLine({ id, status, prefix, agentId, owner, workspaceId, name }: FoundKey): string {
  return `${id}  ${status.padEnd(7)}  ${prefix}…  ${agentId ?? workspaceId ?? owner?.mailbox ?? '-'}  ${name === undefined ? '' : displayName(name)}`.trimEnd();
}
