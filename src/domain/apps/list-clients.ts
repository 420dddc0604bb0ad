import type { Deps } from '../../deps.ts';
import { type ListPage, type ListQuery, mapPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { countOwnedClients, listOwnedClientsPage } from '../../store/owned-clients.ts';
import { type OAuthClient, toOAuthClient } from './clients.ts';

/** The clients that a human registered, in pages. */

export type ClientListQuery = ListQuery<never, never>;

/** Lists a page of the clients of an account, newest first; those that are suspended are among them. */
export async function listOwnClients(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  { search, at, rows }: ClientListQuery = {},
): Promise<ListPage<OAuthClient>> {
  const page = await readPage(
    parseIdMark(at),
    rows,
    (place, limit) => listOwnedClientsPage(db, accountId, search, place, limit),
    ({ id }) => id,
  );
  return mapPage(page, (found) => found.map(toOAuthClient));
}

/** Counts the clients of an account: all, those that a list shows, and those before its page. */
export function countOwnClients(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  { search, at }: ClientListQuery,
): Promise<{ all: number; found: number; preceding: number }> {
  return countOwnedClients(db, accountId, search, parseIdMark(at));
}
