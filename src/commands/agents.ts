import { type Command, Option } from 'commander';
import * as agents from '../domain/agents/agent-view.ts';
import {
  AGENT_STATUSES,
  AGENT_TYPES,
  type FoundAgent,
  findAgents,
  revokeAgents,
} from '../domain/operators/agents.ts';
import { displayName } from '../lib/untrusted-text.ts';
import { parseIsoTime, reasonOption, type Shell, sayRevoked, wholeNumber } from './shell.ts';

/** Adds `agent …`: lists, finds, shows and revokes agents. */
export function addAgentCommands(program: Command, shell: Shell): void {
  const agent = program.command('agent').description('registered agents');
  agent
    .command('list')
    .description('oldest first')
    .option('--after <id>', 'go on after this agent', '')
    .option('--limit <n>', 'at most so many', wholeNumber, 100)
    .action((options: { after: string; limit: number }) =>
      shell.withDatabase(async (deps) => {
        const { after, limit } = options;
        // One more than requested tells whether there are more.
        const found = await agents.listAgents(deps, after, limit + 1);
        const list = found.slice(0, limit);
        const next = found.length > limit ? list.at(-1)!.id : undefined;
        const lines = list.map(agentLine);
        if (next !== undefined) lines.push(`There are more. Go on with --after ${next}`);
        shell.say({ agents: list.map(agentJson), next_after: next }, lines.join('\n') || 'None.');
      }),
    );
  agent
    .command('show <id>')
    .description('one agent')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        const found = await agents.showAgent(deps, id);
        if (found === undefined) return shell.notFound('agent');
        shell.say(agentJson(found), JSON.stringify(agentJson(found), null, 2));
      }),
    );
  agent
    .command('find [text]')
    .description(
      'newest first: by the start of an id or name, a mailbox, a key’s first characters, or a network',
    )
    .addOption(new Option('--status <status>', 'only these').choices(AGENT_STATUSES))
    .addOption(new Option('--type <type>', 'only these').choices(AGENT_TYPES))
    .option('--since <time>', 'only those that came at or after this ISO 8601 time', parseIsoTime)
    .option('--before <id>', 'go on before this agent')
    .action((text: string | undefined, options: FindOptions) =>
      shell.withDatabase(async (deps) => {
        const query = { search: text ?? '', ...findDefaults, ...options };
        const { items: found, next } = await findAgents(deps, query);
        const lines = found.map(foundLine);
        if (next !== undefined) lines.push(`There may be more. Go on with --before ${next}`);
        shell.say({ agents: found.map(foundJson), next_before: next }, lines.join('\n') || 'None.');
      }),
    );
  agent
    .command('revoke <ids...>')
    .description('end agents, all or none, with their keys and pending claims')
    .addOption(reasonOption())
    .action((ids: string[], { reason }: { reason?: string }) =>
      shell.withDatabase(async (deps) => {
        const revoked = await revokeAgents(deps, shell.origin(), { accountId: undefined, reason }, ids);
        sayRevoked(shell, 'agent', ids, revoked, (id) => `${id} and its keys are revoked.`);
      }),
    );
}

interface FindOptions {
  status?: (typeof AGENT_STATUSES)[number];
  type?: (typeof AGENT_TYPES)[number];
  since?: number;
  before?: string;
}
const findDefaults = { status: undefined, type: undefined, since: undefined, before: undefined };

function foundJson(found: FoundAgent): object {
  return {
    agent_id: found.id,
    user_id: found.accountId,
    name: found.name,
    type: found.type,
    status: found.status,
    owner: found.owner?.id,
    owner_mailbox: found.owner?.mailbox,
    network: found.network,
    created_at: new Date(found.registeredAt).toISOString(),
    last_used_at: found.lastUse && new Date(found.lastUse.at).toISOString(),
  };
}

function foundLine(found: FoundAgent): string {
  const { id, status, type, owner, name } = found;
  return `${id}  ${status.padEnd(9)}  ${type.padEnd(9)}  ${owner?.mailbox ?? '-'}  ${name === undefined ? '' : displayName(name)}`.trimEnd();
}

function agentJson(found: agents.AgentView): object {
  const { claim } = found;
  return {
    agent_id: found.id,
    user_id: found.accountId,
    name: found.name ?? undefined,
    registered_as: found.registrationKind,
    claim: claim.kind === 'pending' ? { status: claim.kind, mail: claim.mail } : { status: claim.kind },
    mode: found.mode,
    owner: found.owner?.id,
    merged_from: found.mergedFrom,
    created_at: new Date(found.createdAt).toISOString(),
    revoked_at: found.revokedAt === undefined ? undefined : new Date(found.revokedAt).toISOString(),
  };
}

function agentLine(found: agents.AgentView): string {
  const state = found.revokedAt === undefined ? found.claim.kind : 'revoked';
  return `${found.id}  ${state.padEnd(9)}  ${found.accountId}  ${found.name ?? ''}`.trimEnd();
}
