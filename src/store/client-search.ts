import type { ListPlace } from '../lib/list-pages.ts';
import type { Db } from './engine/db.ts';
import { CLIENT_COLUMNS, type OAuthClientRow } from './oauth-clients.ts';
import { type Part, startsWith } from './pages.ts';

/** Statements by which operators look through all OAuth clients, newest first. */

/** How many clients a page looks through at most: see agent-search.ts. */
const WINDOW_ROWS = 10_000;

/** Selects clients: each member narrows the selection. */
export interface ClientSearch {
  /** The canonical mailbox of the human who registered it. */
  mailbox?: string | undefined;
  owner?: string | undefined;
  /** The start of a name, in any case, or of an id. */
  nameStart?: string | undefined;
  status?: ClientStatus | undefined;
  origin?: OAuthClientRow['origin'] | undefined;
}

/** `unused`: it never got a code. */
export type ClientStatus = 'active' | 'unused' | 'suspended' | 'ended';

export interface FoundClientRow extends OAuthClientRow {
  ownerMailbox: string | null;
}

/** The creation of a client, from which a page goes on: those that were created before it. */
type Place = Pick<ListPlace<number>, 'key' | 'id'>;

/** Lists clients that were created before a place, among the first that a page looks through. */
export function listClientsFound(
  db: Pick<Db, 'all'>,
  search: ClientSearch,
  before: Place | undefined,
  limit: number,
): Promise<FoundClientRow[]> {
  const where = conditions(search);
  const rows = windowOf(search, before);
  return db.all(
    `SELECT ${CLIENT_COLUMNS}, ${OWNER_MAILBOX} FROM (${rows.sql} LIMIT ?) c
     WHERE 1 = 1${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`,
    [...rows.params, where.sql === '' ? limit : WINDOW_ROWS, ...where.params, limit],
  );
}

/** Finds the last client that listClientsFound() looked at; undefined: it came to the end. */
export function findClientWindowEnd(
  db: Pick<Db, 'get'>,
  search: ClientSearch,
  before: Place | undefined,
): Promise<Place | undefined> {
  const rows = windowOf(search, before);
  return db.get(`SELECT created_at AS key, id FROM (${rows.sql} LIMIT 1 OFFSET ?) c`, [
    ...rows.params,
    WINDOW_ROWS - 1,
  ]);
}

/** Finds one client as listClientsFound() does. */
export function findClientFound(db: Pick<Db, 'get'>, id: string): Promise<FoundClientRow | undefined> {
  return db.get(`SELECT ${CLIENT_COLUMNS}, ${OWNER_MAILBOX} FROM oauth_clients WHERE id = ?`, [id]);
}

/** What a human lets a client do, with their mailbox. */
export interface ClientConsentRow {
  id: string;
  accountId: string;
  mailbox: string | null;
  scope: string;
  createdAt: number;
  usedAt: number | null;
}

/** Lists the newest live consents of a client. */
export function listConsentsOfClient(
  db: Pick<Db, 'all'>,
  clientId: string,
  now: number,
  limit: number,
): Promise<ClientConsentRow[]> {
  return db.all(
    `SELECT id, account_id AS "accountId", (SELECT mailbox FROM accounts a WHERE a.id = account_id) AS mailbox, scope,
       created_at AS "createdAt", used_at AS "usedAt" FROM oauth_grants
     WHERE client_id = ? AND revoked_at IS NULL AND expires_at > ? ORDER BY id DESC LIMIT ?`,
    [clientId, now, limit],
  );
}

const OWNER_MAILBOX = `(SELECT mailbox FROM accounts a WHERE a.id = owner) AS "ownerMailbox"`;

const STATUSES: Record<ClientStatus, string> = {
  active: ' AND ended_at IS NULL AND suspended_at IS NULL AND used_at IS NOT NULL',
  unused: ' AND ended_at IS NULL AND suspended_at IS NULL AND used_at IS NULL',
  suspended: ' AND ended_at IS NULL AND suspended_at IS NOT NULL',
  ended: ' AND ended_at IS NOT NULL',
};

/** The clients to look through, newest first, without a limit. */
function windowOf({ mailbox, owner }: ClientSearch, before: Place | undefined): Part {
  const { key, id } = before ?? { key: Number.MAX_SAFE_INTEGER, id: '' };
  const parts: Part[] = [
    ...(mailbox === undefined
      ? []
      : [{ sql: ' AND owner IN (SELECT id FROM accounts WHERE mailbox = ?)', params: [mailbox] }]),
    ...(owner === undefined ? [] : [{ sql: ' AND owner = ?', params: [owner] }]),
  ];
  const range = join(parts);
  return {
    sql: `SELECT * FROM oauth_clients WHERE (created_at, id) < (?, ?)${range.sql} ORDER BY created_at DESC, id DESC`,
    params: [key, id, ...range.params],
  };
}

function conditions({ nameStart, status, origin }: ClientSearch): Part {
  return join([
    startsWith(nameStart, { name: 'name', id: 'id' }),
    ...(status === undefined ? [] : [{ sql: STATUSES[status], params: [] }]),
    ...(origin === undefined ? [] : [{ sql: ' AND origin = ?', params: [origin] }]),
  ]);
}

function join(parts: readonly Part[]): Part {
  return { sql: parts.map(({ sql }) => sql).join(''), params: parts.flatMap(({ params }) => params) };
}
