import type { Deps } from '../../deps.ts';
import { firstIdAt } from '../../lib/ids.ts';
import { allPages, PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import { DAY_MS } from '../../lib/time.ts';
import { findCredential } from '../../store/credentials.ts';
import {
  type FoundKeyRow,
  findKeyFound,
  findKeyWindowEnd,
  type KeySearch,
  listKeysFound,
} from '../../store/key-search.ts';
import type { RequestOrigin } from '../../work.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { keyStatus } from '../credentials/issue.ts';
import { revokeCredential } from '../credentials/revoke-credential.ts';
import { actOnEach } from './act-on-each.ts';
import { type FoundOwner, toFoundOwner } from './found-owner.ts';
import { type FoundPage, NOTHING_FOUND, readFoundPage } from './found-page.ts';
import { idBounds } from './id-bounds.ts';
import { readSearchText } from './search.ts';

/** All keys, as operators see them. Access tokens are none: they are many, and end by themselves. */

export const KEY_STATUSES = ['active', 'expiring', 'revoked', 'expired'] as const;
export const KEY_HOLDERS = ['agent', 'personal', 'app'] as const;

/** What counts as expiring soon. */
export const EXPIRING_MS = 7 * DAY_MS;

/** A request for one page of keys. */
export interface KeysQuery {
  /** As typed: see readSearchText(). */
  search: string;
  status: (typeof KEY_STATUSES)[number] | undefined;
  holder: (typeof KEY_HOLDERS)[number] | undefined;
  /** Only keys that were made at or after this time, epoch ms. */
  since: number | undefined;
  /** The `next` of the page before. */
  before: string | undefined;
}

/** A key as an operator sees it; times in epoch ms. */
export interface FoundKey {
  id: string;
  name: string | undefined;
  /** The first characters of the secret, see secretHints(). */
  prefix: string;
  scopes: string[];
  /** URLs of the audiences at which it works; undefined: all. */
  resources: string[] | undefined;
  agentId: string | undefined;
  /** Of the key of a thing: who answers for it. */
  accountId: string;
  owner: FoundOwner | undefined;
  /** Of the key of a thing: the workspace that the thing is in. */
  workspaceId: string | undefined;
  status: 'active' | 'revoked' | 'expired';
  createdAt: number;
  expiresAt: number | undefined;
  revokedAt: number | undefined;
  lastUse: { at: number; from: string | undefined } | undefined;
}

/** Lists one page of the keys that a query finds, newest first. */
export async function findKeys(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  query: KeysQuery,
): Promise<FoundPage<FoundKey>> {
  const search = toSearch(deps, query);
  if (search === undefined) return NOTHING_FOUND;
  const now = deps.clock();
  const times = { now, expiresBy: now + EXPIRING_MS };
  const before = query.before ?? '~';
  const page = await readFoundPage(
    PAGE_ROWS_MAX,
    (limit) => listKeysFound(deps.db, search, before, times, limit),
    ({ id }) => id,
    () => findKeyWindowEnd(deps.db, search, before),
  );
  return { ...page, items: page.items.map((row) => toFoundKey(row, now)) };
}

/** Iterates over the pages of all keys that a query finds. */
export async function* allKeysFound(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  query: KeysQuery,
): AsyncGenerator<FoundKey[]> {
  const pages = allPages(query.before, (before) => findKeys(deps, { ...query, before }));
  for await (const { items } of pages) yield items;
}

/** Finds keys by their ids, in that order; ids of no key are left out. */
export async function findKeysById(
  deps: Pick<Deps, 'db' | 'clock'>,
  ids: readonly string[],
): Promise<FoundKey[]> {
  const rows = await Promise.all(ids.map((id) => findKeyFound(deps.db, id)));
  return rows.filter((row) => row !== undefined).map((row) => toFoundKey(row, deps.clock()));
}

/**
 * Revokes keys or access tokens as an operator, all or none, from the next introspection on. Those that are revoked
 * already, and ids of no key, change nothing.
 *
 * @returns the ids of the keys that there are
 */
export function revokeKeys(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  ids: readonly string[],
): Promise<string[]> {
  return actOnEach(deps, origin, ids, async (work, id) => {
    const key = await findCredential(work.tx, id);
    if (key === undefined) return false;
    if (key.revokedAt === null) {
      await revokeCredential(work, key);
      await recordOperatorEvent(work, act, { kind: 'operator.key_revoked', subject: id });
    }
    return true;
  });
}

/** @returns undefined if the text finds nothing whatever there is */
function toSearch(
  { config }: Pick<Deps, 'config'>,
  { search, status, holder, since }: KeysQuery,
): KeySearch | undefined {
  const text = readSearchText(search, config.keys.accepted);
  const first = since === undefined ? undefined : firstIdAt('key', since);
  const rest = { status, holder, ...idBounds('key_', first) };
  switch (text.by) {
    case 'nothing':
      return { range: { by: 'all' }, ...rest };
    case 'mailbox':
      return { range: text, ...rest };
    case 'key':
      return { range: { by: 'prefix', prefix: text.prefix }, ...rest };
    case 'name':
      return { range: { by: 'all' }, nameStart: text.start, ...rest };
    case 'id':
      if (text.prefix === 'agt') return { range: { by: 'agent', agentId: text.start }, ...rest };
      if (text.prefix === 'usr') return { range: { by: 'account', accountId: text.start }, ...rest };
      if (text.prefix !== 'key') return undefined;
      return { range: { by: 'all' }, idStart: text.start, ...rest, ...idBounds(text.start, first) };
    case 'network':
    case 'issuer':
    case 'secret':
      return undefined;
  }
}

function toFoundKey(row: FoundKeyRow, now: number): FoundKey {
  return {
    id: row.id,
    name: row.name ?? undefined,
    prefix: row.prefix,
    scopes: row.scope.split(' '),
    resources: row.resources === null ? undefined : row.resources.split(' ').filter((url) => url !== ''),
    agentId: row.agentId ?? undefined,
    accountId: row.accountId,
    owner: toFoundOwner(row),
    workspaceId: row.workspaceId ?? undefined,
    status: keyStatus(row, now),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt ?? undefined,
    revokedAt: row.revokedAt ?? undefined,
    lastUse:
      row.lastUsedAt === null ? undefined : { at: row.lastUsedAt, from: row.lastUsedFrom ?? undefined },
  };
}
