import { z } from 'zod';
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
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { displayName } from '../../../lib/untrusted-text.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { toIso } from '../../server/wire-times.ts';
import { checkedNames, formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { csvFile } from './csv.ts';
import { type Menu, presentList, readBefore, readOneOf, readSearch, readSince, TIME_MENU } from './lists.ts';
import { readAct, reasonField } from './reason.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of keys: the list, its export, and revoking some. */

const none = undefined;
const MENUS: readonly Menu[] = [
  { name: 'keyStatus', values: KEY_STATUSES },
  { name: 'holder', values: KEY_HOLDERS },
  TIME_MENU,
];

/** How many keys are revoked at once: a page of the list. */
const REVOKED_MAX = 50;

/** The reason, and each key that is to be revoked: `key:key_…`. */
const revokeForm = formSchema({ reason: reasonField }).catchall(z.string().max(64));

export function keyRows(pages: Pages): Row[] {
  return [
    row('GET', CONSOLE.keys, 'operator', none, keysPage(pages)),
    row('GET', `${CONSOLE.keys}.csv`, 'operator', none, exportKeys(pages)),
    row('GET', `${CONSOLE.keys}/revoke`, 'operator', none, revokePage(pages)),
    row('POST', `${CONSOLE.keys}/revoke`, 'recentlyVerifiedOperator', none, revoke(pages)),
  ];
}

/** GET /console/keys: lists the keys that a search and filters find. */
function keysPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All keys',
    async handle(call) {
      const { deps, caller, query } = call;
      const found = await findKeys(deps, readQuery(call));
      const { list, problem } = presentList(CONSOLE.keys, query, MENUS, found);
      const values = { keys: found.keys.map(presentKey), list, problem };
      return showConsole(pages, caller, 'keys', 'keys', values, problem === undefined ? 200 : 400);
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
function exportKeys({ translators }: Pages) {
  return operation({
    caller: 'operator',
    summary: 'All keys as CSV',
    handle(call) {
      const { text } = translators[call.caller.locale];
      const columns = COLUMNS.map((name) => text(`console.csv.${name}`));
      return csvFile('keys.csv', columns, csvRows(call, text));
    },
  });
}

async function* csvRows(call: OperatorCall, text: (key: string) => string): AsyncGenerator<string[][]> {
  for await (const keys of allKeysFound(call.deps, readQuery(call))) {
    yield keys.map((key) => [
      key.id,
      `${key.prefix}…`,
      key.name === undefined ? '' : displayName(key.name),
      key.owner?.mailbox ?? '',
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

/** GET /console/keys/revoke?id=…: asks whether to revoke some keys, and why. */
function revokePage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before keys end',
    handle(call) {
      const { caller, query } = call;
      const draft = caller.draft(`${CONSOLE.keys}/revoke`);
      const ids = draft === undefined ? query.getAll('id') : checkedNames(draft, 'key');
      return showRevoke(pages, call, ids, draft?.reason);
    },
  });
}

/** POST /console/keys/revoke: revokes some keys. */
function revoke(pages: Pages) {
  return formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: 'End keys',
    form: revokeForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const ids = checkedNames(body, 'key').slice(0, REVOKED_MAX);
      const act = readAct(call, body.reason);
      if ('key' in act) return showRevoke(pages, call, ids, body.reason, act);
      const revoked = await revokeKeys(deps, origin, act, ids);
      if (revoked.length === 0) throw keysNotFound();
      return redirect(deps.config, CONSOLE.keys, caller.cookies, 'keysRevoked');
    },
  });
}

async function showRevoke(
  pages: Pages,
  { deps, caller }: Pick<OperatorCall, 'deps' | 'caller'>,
  ids: readonly string[],
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  if (ids.length === 0) return redirect(deps.config, CONSOLE.keys, caller.cookies, 'nothingSelected');
  const found = await findKeysById(deps, [...new Set(ids)].slice(0, REVOKED_MAX));
  if (found.length === 0) throw keysNotFound();
  const keys = found.filter(({ status }) => status !== 'revoked').map(presentKey);
  if (keys.length === 0) return redirect(deps.config, CONSOLE.keys, caller.cookies, 'keysRevoked');
  const values = { keys, reason, problem };
  return showConsole(pages, caller, 'keys', 'revoke-keys', values, problem === undefined ? 200 : 400);
}

function keysNotFound(): Failure {
  return new Failure('notFound', 'There are no such keys.');
}

function readQuery(call: Pick<OperatorCall, 'deps' | 'query'>): KeysQuery {
  const { query } = call;
  return {
    search: readSearch(query),
    status: readOneOf(query, 'keyStatus', KEY_STATUSES),
    holder: readOneOf(query, 'holder', KEY_HOLDERS),
    since: readSince(call),
    before: readBefore(query),
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
