import type { Command } from 'commander';
import { ConfigError } from '../errors.ts';
import { findEvents } from '../store/events.ts';
import { type Shell, wholeNumber } from './shell.ts';

interface Options {
  kind?: string;
  agent?: string;
  account?: string;
  since?: number;
  after?: string;
  limit: number;
}

/** `events`: the audit. */
export function addEventCommands(program: Command, shell: Shell): void {
  program
    .command('events')
    .description('the audit, oldest first, as JSON lines')
    .option('--kind <kind>', 'only these, such as claim.completed')
    .option('--agent <id>', 'only of this agent')
    .option('--account <id>', 'only of this account')
    .option('--since <time>', 'only from this ISO 8601 time on', isoTime)
    .option('--after <id>', 'go on after this event')
    .option('--limit <n>', 'at most so many', wholeNumber, 1000)
    .action((options: Options) =>
      shell.withDatabase(async (deps) => {
        const filter = { ...options, agentId: options.agent, accountId: options.account };
        let left = options.limit;
        for await (const event of findEvents(deps.db, filter)) {
          const { id, at, kind, accountId, agentId, subject, address, requestId, details } = event;
          const line = {
            id,
            at: new Date(at).toISOString(),
            kind,
            account_id: accountId ?? undefined,
            agent_id: agentId ?? undefined,
            subject: subject ?? undefined,
            address: address ?? undefined,
            request_id: requestId ?? undefined,
            details: details === null ? undefined : JSON.parse(details),
          };
          console.log(JSON.stringify(line));
          left -= 1;
          if (left === 0) break;
        }
      }),
    );
}

function isoTime(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new ConfigError('--since takes a time such as 2026-01-31T12:00:00Z.');
  return at;
}
