import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import {
  formatNumberMark,
  type ListPage,
  type ListQuery,
  mapPage,
  parseNumberMark,
  readPage,
} from '../../lib/list-pages.ts';
import { providerOf } from '../../lib/principals.ts';
import { parseScope } from '../../lib/scopes.ts';
import {
  type ConnectedAppRow,
  countConnected,
  findConnected,
  listConnectedPage,
} from '../../store/connected-apps.ts';
import { readRedirectHosts } from './redirect-hosts.ts';

/** The apps that a human let use their account, as the human sees them. */

/** What a human lets one app do at one API; times in epoch ms. */
export interface ConnectedApp {
  /** Of the consent. */
  id: string;
  clientId: string;
  /** As the app wrote it; undefined: it has none. */
  name: string | undefined;
  /** Where the app is: the host of its document, or to which it sends people. */
  hosts: string[];
  /** The URL of the API; undefined: only the scopes of OpenID Connect. */
  resource: string | undefined;
  scopes: string[];
  openidScopes: string[];
  createdAt: number;
  expiresAt: number;
  /** The name of the provider that let it; undefined: the human did. */
  provider: string | undefined;
  lastUse: { at: number; from: string | undefined } | undefined;
}

export type ConnectedAppQuery = ListQuery<never, never>;

/** Lists a page of the apps that may use an account, last used first. */
export async function listConnectedApps(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  accountId: string,
  { search, at, rows }: ConnectedAppQuery = {},
): Promise<ListPage<ConnectedApp>> {
  const filter = { search, now: clock() };
  const page = await readPage(
    parseNumberMark(at),
    rows,
    (place, limit) => listConnectedPage(db, accountId, filter, place, limit),
    (row) => formatNumberMark(row.usedAt ?? 0, row.id),
  );
  return mapPage(page, (found) => found.map((row) => toConnectedApp(config, row)));
}

/** Counts the apps that may use an account: all, those that a list shows, and those before its page. */
export function countConnectedApps(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  { search, at }: ConnectedAppQuery,
): Promise<{ all: number; found: number; preceding: number }> {
  return countConnected(db, accountId, { search, now: clock() }, parseNumberMark(at));
}

/**
 * Finds one app that may use an account.
 *
 * @param id of the consent
 * @throws Failure `notFound`, also for that of another account (S-29), and after it has ended
 */
export async function findConnectedApp(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  accountId: string,
  id: string,
): Promise<ConnectedApp> {
  const row = await findConnected(db, accountId, id, clock());
  if (row === undefined) throw new Failure('notFound', 'There is no such app among yours.');
  return toConnectedApp(config, row);
}

/** Converts a row to an app as people see it. */
function toConnectedApp(config: Deps['config'], row: ConnectedAppRow): ConnectedApp {
  const { id, clientId, name, origin, metadata, resource, scope, openidScope, usedAt, usedFrom } = row;
  const { createdAt, expiresAt } = row;
  return {
    id,
    clientId,
    name: name ?? undefined,
    hosts: origin === 'document' ? [new URL(clientId).host] : readRedirectHosts(metadata),
    resource: resource ?? undefined,
    scopes: parseScope(scope),
    openidScopes: parseScope(openidScope),
    createdAt,
    expiresAt,
    provider: providerOf(config, row.principal),
    lastUse: usedAt === null ? undefined : { at: usedAt, from: usedFrom ?? undefined },
  };
}
