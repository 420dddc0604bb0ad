import { type Command, InvalidArgumentError } from 'commander';
import { EVENT_KINDS } from '../domain/audit/audit-log.ts';
import { normalizeName, suggestName } from '../lib/spelling.ts';
import { type EventRow, findEvents } from '../store/events.ts';
import { parseIsoTime, type Shell, wholeNumber } from './shell.ts';

interface Options {
  kind?: string;
  kinds?: true;
  agent?: string;
  account?: string;
  since?: number;
  until?: number;
  after?: string;
  limit?: number;
}

/** Adds `events`: prints the audit log. */
export function addEventCommands(program: Command, shell: Shell): void {
  program
    .command('events')
    .description('the audit, oldest first, as JSON lines')
    .option('--kind <kind>', 'only these, such as claim.completed', parseKind)
    .option('--kinds', 'list the kinds there are')
    .option('--agent <id>', 'only of this agent')
    .option('--account <id>', 'only of this account')
    .option('--since <time>', 'only from this ISO 8601 time on', parseIsoTime)
    .option('--until <time>', 'only before this ISO 8601 time', parseIsoTime)
    .option('--after <id>', 'go on after this event')
    .option('--limit <n>', 'at most so many; default: all', wholeNumber)
    .action(async (options: Options) => {
      if (options.kinds) return shell.say({ kinds: EVENT_KINDS }, EVENT_KINDS.join('\n'));
      await shell.withDatabase(async (deps) => {
        const filter = { ...options, agentId: options.agent, accountId: options.account };
        let lastId: string | undefined;
        let remaining = options.limit ?? Number.POSITIVE_INFINITY;
        for await (const event of findEvents(deps.db, filter)) {
          if (remaining === 0) {
            shell.note(`There are more. Go on with --after ${lastId}`);
            break;
          }
          await shell.line(eventJson(event));
          lastId = event.id;
          remaining -= 1;
        }
      });
    });
}

function eventJson(event: EventRow): object {
  return {
    id: event.id,
    at: new Date(event.at).toISOString(),
    kind: event.kind,
    account_id: event.accountId ?? undefined,
    agent_id: event.agentId ?? undefined,
    subject: event.subject ?? undefined,
    address: event.address ?? undefined,
    request_id: event.requestId ?? undefined,
    details: event.details === null ? undefined : JSON.parse(event.details),
  };
}

function parseKind(text: string): string {
  if (EVENT_KINDS.some((kind) => kind === text)) return text;
  const suggestion = suggestName(normalizeName(text), EVENT_KINDS);
  throw new InvalidArgumentError(
    suggestion === undefined
      ? '--kinds lists those there are.'
      : `Did you mean ${suggestion}? --kinds lists those there are.`,
  );
}
