import type { Command } from 'commander';
import * as agents from '../domain/agents/agent-view.ts';
import { revokeAgent } from '../domain/agents/end-agent.ts';
import { revokeKeyById } from '../domain/credentials/revoke-credential.ts';
import { type Shell, wholeNumber } from './shell.ts';

/** Adds `agent …` and `key …`: lists, shows and revokes agents and keys. */
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
    .command('revoke <id>')
    .description('end an agent, its keys and its pending claim')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        if (!(await revokeAgent(deps, shell.origin(), id))) return shell.notFound('agent');
        shell.say({ revoked: id }, `${id} and its keys are revoked.`);
      }),
    );

  program
    .command('key')
    .description('keys')
    .command('revoke <id>')
    .description('revoke a key')
    .action((id: string) =>
      shell.withDatabase(async (deps) => {
        if (!(await revokeKeyById(deps, shell.origin(), id))) return shell.notFound('key');
        shell.say({ revoked: id }, `${id} is revoked.`);
      }),
    );
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
