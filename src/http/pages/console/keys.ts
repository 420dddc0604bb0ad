import {
  allKeysFound,
  type FoundKey,
  findKeys,
  findKeysById,
  KEY_HOLDERS,
  KEY_STATUSES,
  type KeysQuery,
  revokeKeys,
} from '../../../domain/operators/keys.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { displayName } from '../../../lib/untrusted-text.ts';
import { operation, type Row, row } from '../../server/table.ts';
import { toIso } from '../../server/wire-times.ts';
import { readId, readOneOf } from '../lists.ts';
import type { Pages } from '../pages.ts';
import { csvFile } from './csv.ts';
import { createMenu, readSearch, readSince, showList, TIME_MENU } from './lists.ts';
import { type Revocable, revokeRows } from './revoke.ts';
import type { OperatorCall } from './show.ts';

/** The console's pages of keys: the list, its export, and revoking some. */

const none = undefined;
const MENUS = [createMenu('keyStatus', KEY_STATUSES), createMenu('holder', KEY_HOLDERS), TIME_MENU];

const REVOCABLE: Revocable<FoundKey> = {
  section: 'keys',
  kind: 'key',
  page: { summary: 'Ask before keys end' },
  act: { summary: 'End keys' },
  find: findKeysById,
  revoke: revokeKeys,
  present: presentKey,
};

export function keyRows(pages: Pages): Row[] {
  return [
    row('GET', CONSOLE.keys, 'operator', none, keysPage(pages)),
    row('GET', `${CONSOLE.keys}.csv`, 'operator', none, exportKeys),
    ...revokeRows(pages, REVOCABLE),
  ];
}

/** GET /console/keys: lists the keys that a search and filters find. */
function keysPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All keys',
    async handle(call) {
      const page = await findKeys(call.deps, readQuery(call));
      return showList(pages, call, 'keys', 'keys', MENUS, page, { keys: page.items.map(presentKey) });
    },
  });
}

const COLUMNS = [
  'id',
  'key',
  'name',
  'owner',
  'agent',
  'permissions',
  'status',
  'created',
  'expires',
  'lastUsed',
  'lastUsedFrom',
] as const;

/** GET /console/keys.csv: the same, all of it, as a table to download. */
const exportKeys = operation({
  caller: 'operator',
  summary: 'All keys as CSV',
  handle(call) {
    const { text } = call.deps.translators[call.caller.locale];
    const columns = COLUMNS.map((name) => text(`console.csv.${name}`));
    return csvFile('keys.csv', columns, csvRows(call, text));
  },
});

async function* csvRows(call: OperatorCall, text: (key: string) => string): AsyncGenerator<string[][]> {
  for await (const keys of allKeysFound(call.deps, readQuery(call))) {
    yield keys.map((key) => [
      key.id,
      `${key.prefix}…`,
      key.name === undefined ? '' : displayName(key.name),
      key.owner?.mailbox ?? key.workspaceId ?? '',
      key.agentId ?? '',
      key.scopes.join(' '),
      text(`status.${key.status}`),
      toIso(key.createdAt),
      key.expiresAt === undefined ? '' : toIso(key.expiresAt),
      key.lastUse === undefined ? '' : toIso(key.lastUse.at),
      key.lastUse?.from ?? '',
    ]);
  }
}

function readQuery(call: Pick<OperatorCall, 'deps' | 'query'>): KeysQuery {
  const { query } = call;
  return {
    search: readSearch(query),
    status: readOneOf(query, 'keyStatus', KEY_STATUSES),
    holder: readOneOf(query, 'holder', KEY_HOLDERS),
    since: readSince(call),
    before: readId(query, 'before'),
  };
}

/** Prepares a key for a template: its name as it is shown. */
function presentKey(key: FoundKey): FoundKey {
  const { name, lastUse } = key;
  return {
    ...key,
    name: (name && displayName(name)) || undefined,
    lastUse: lastUse && { ...lastUse, from: lastUse.from?.replace(/^network /, '') },
  };
}
