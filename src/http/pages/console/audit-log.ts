import { EVENT_KINDS } from '../../../domain/audit/audit-log.ts';
import type { AuditEntry } from '../../../domain/operators/audit-entries.ts';
import {
  type AuditQuery,
  allAuditEntries,
  findAuditEntries,
  showAuditEntry,
} from '../../../domain/operators/audit-search.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import type { Translator } from '../../../lib/translate.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { toIso } from '../../server/wire-times.ts';
import { readId, readOneOf, type Select } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { csvFile } from './csv.ts';
import { download } from './download.ts';
import { createMenu, readSearch, readSince, showList, TIME_MENU } from './lists.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of the audit log: the list, one event, and its export as CSV and as JSON lines. */

const none = undefined;
const PATH = CONSOLE.auditLog;

export function auditLogRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, auditLogPage(pages)),
    row('GET', `${PATH}.csv`, 'operator', none, exportCsv),
    row('GET', `${PATH}.jsonl`, 'operator', none, exportJsonLines),
    row('GET', `${PATH}/:id`, 'operator', none, eventPage(pages)),
  ];
}

/** GET /console/audit-log: lists the events that a search and filters find. */
function auditLogPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'The audit log',
    async handle(call) {
      const { deps, caller } = call;
      const { text } = deps.translators[caller.locale];
      const page = await findAuditEntries(deps, readQuery(call));
      return showList(pages, call, 'auditLog', 'audit-log', menus(text), page, { events: page.items });
    },
  });
}

/** GET /console/audit-log/:id: the facts of one event. */
function eventPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'One event',
    async handle({ deps, caller, params }) {
      const event = await showAuditEntry(deps, params.id!);
      if (event === undefined) throw new Failure('notFound', 'There is no such event.');
      return showConsole(pages, caller, 'auditLog', 'event', { event });
    },
  });
}

const COLUMNS = [
  'time',
  'id',
  'kind',
  'who',
  'account',
  'agent',
  'workspace',
  'onWhat',
  'network',
  'request',
  'details',
] as const;

/** GET /console/audit-log.csv: all that the filter finds, as a table to download. */
const exportCsv = operation({
  caller: 'operator',
  summary: 'The audit log as CSV',
  handle(call) {
    const { text } = call.deps.translators[call.caller.locale];
    const columns = COLUMNS.map((name) => text(`console.csv.${name}`));
    return csvFile('audit-log.csv', columns, csvRows(call));
  },
});

async function* csvRows(call: OperatorCall): AsyncGenerator<string[][]> {
  for await (const events of allAuditEntries(call.deps, readQuery(call))) {
    yield events.map((event) => [
      toIso(event.at),
      event.id,
      event.kind,
      event.account?.mailbox ?? '',
      event.account?.id ?? '',
      event.agentId ?? '',
      event.workspaceId ?? '',
      event.subject ?? '',
      event.network ?? '',
      event.requestId ?? '',
      Object.keys(event.details).length === 0 ? '' : JSON.stringify(event.details),
    ]);
  }
}

/** GET /console/audit-log.jsonl: the same as JSON lines. */
const exportJsonLines = operation({
  caller: 'operator',
  summary: 'The audit log as JSON lines',
  handle: (call) => download('audit-log.jsonl', 'application/jsonl; charset=utf-8', jsonLines(call)),
});

async function* jsonLines(call: OperatorCall): AsyncGenerator<string> {
  for await (const events of allAuditEntries(call.deps, readQuery(call))) {
    yield events.map((event) => `${JSON.stringify(toJson(event))}\n`).join('');
  }
}

function toJson(event: AuditEntry): object {
  return {
    id: event.id,
    at: toIso(event.at),
    kind: event.kind,
    account_id: event.account?.id,
    mailbox: event.account?.mailbox,
    agent_id: event.agentId,
    workspace_id: event.workspaceId,
    subject: event.subject,
    network: event.network,
    request_id: event.requestId,
    details: Object.keys(event.details).length === 0 ? undefined : event.details,
  };
}

/** The kinds in the order of their names, which differs by language. */
function menus(text: Translator['text']): Select[] {
  const named = EVENT_KINDS.map((kind) => ({ kind, name: text(`audit.${kind}`) }));
  const values = named.toSorted((one, other) => one.name.localeCompare(other.name)).map(({ kind }) => kind);
  return [createMenu('kind', values, 'audit.'), TIME_MENU];
}

function readQuery(call: Pick<OperatorCall, 'deps' | 'query'>): AuditQuery {
  const { query } = call;
  return {
    search: readSearch(query),
    kind: readOneOf(query, 'kind', EVENT_KINDS),
    since: readSince(call),
    until: undefined,
    before: readId(query, 'before'),
  };
}
