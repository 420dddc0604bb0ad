import { type Command, InvalidArgumentError } from 'commander';
import { EVENT_KINDS } from '../domain/audit/audit-log.ts';
import { readSearchText } from '../domain/operators/search.ts';
import { csvLine } from '../lib/csv.ts';
import { normalizeName, suggestName } from '../lib/spelling.ts';
import { type EventRow, findEvents } from '../store/events.ts';
import { parseIsoTime, type Shell, wholeNumber } from './shell.ts';

interface Options {
  kind?: string;
  kinds?: true;
  agent?: string;
  account?: string;
  workspace?: string;
  subject?: string;
  network?: string;
  request?: string;
  csv?: true;
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
    .option('--workspace <id>', 'only of what happened in this workspace')
    .option('--subject <id>', 'only about this key, resource server, mail…')
    .option('--network <start>', 'only from addresses that start so, such as 203.0', parseNetwork)
    .option('--request <id>', 'only of this request')
    .option('--since <time>', 'only from this ISO 8601 time on', parseIsoTime)
    .option('--until <time>', 'only before this ISO 8601 time', parseIsoTime)
    .option('--after <id>', 'go on after this event')
    .option('--limit <n>', 'at most so many; default: all', wholeNumber)
    .option('--csv', 'as a table')
    .action(async (options: Options) => {
      if (options.kinds) return shell.say({ kinds: EVENT_KINDS }, EVENT_KINDS.join('\n'));
      await shell.withDatabase(async (deps) => {
        const filter = {
          ...options,
          agentId: options.agent,
          accountId: options.account,
          workspaceId: options.workspace,
          networkStart: options.network,
          requestId: options.request,
        };
        if (options.csv) await shell.write(csvLine(CSV_COLUMNS));
        let lastId: string | undefined;
        let remaining = options.limit ?? Number.POSITIVE_INFINITY;
        for await (const event of findEvents(deps.db, filter)) {
          if (remaining === 0) {
            shell.note(`There are more. Go on with --after ${lastId}`);
            break;
          }
          await (options.csv ? shell.write(csvLine(csvRow(event))) : shell.line(eventJson(event)));
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
    workspace_id: event.workspaceId ?? undefined,
    subject: event.subject ?? undefined,
    address: event.address ?? undefined,
    request_id: event.requestId ?? undefined,
    details: event.details === null ? undefined : JSON.parse(event.details),
  };
}

const CSV_COLUMNS = [
  'at',
  'id',
  'kind',
  'account_id',
  'agent_id',
  'workspace_id',
  'subject',
  'address',
  'request_id',
  'details',
];

function csvRow(event: EventRow): string[] {
  const { id, at, kind, accountId, agentId, workspaceId, subject, address, requestId, details } = event;
  const cells = [
    new Date(at).toISOString(),
    id,
    kind,
    accountId,
    agentId,
    workspaceId,
    subject,
    address,
    requestId,
    details,
  ];
  return cells.map((cell) => cell ?? '');
}

function parseNetwork(text: string): string {
  const found = readSearchText(text);
  if (found.by !== 'network') throw new InvalidArgumentError('It takes a network such as 203.0 or 2001:db8.');
  return found.start;
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
