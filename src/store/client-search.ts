import type { ListPlace } from '../lib/list-pages.ts';
import type { Db, Value } from './engine/db.ts';
import { CLIENT_COLUMNS, type OAuthClientRow } from './oauth-clients.ts';
import { type Part, startsWith } from './pages.ts';

/** Statements by which operators look through all OAuth clients, newest first. */

/** Selects clients: each member narrows the selection. */
export interface ClientSearch {
  /** The start of a name, in any case, or of an id. */
  nameStart?: string | undefined;
  /** The canonical mailbox of the human who registered it. */
  mailbox?: string | undefined;
  owner?: string | undefined;
  status?: ClientStatus | undefined;
  origin?: OAuthClientRow['origin'] | undefined;
}

/** `unused`: it never got a code. */
export type ClientStatus = 'active' | 'unused' | 'suspended' | 'ended';

export interface FoundClientRow extends OAuthClientRow {
  ownerMailbox: string | null;
}

/** Lists clients that were created before a place. */
export function listClientsFound(
  db: Pick<Db, 'all'>,
  search: ClientSearch,
  before: Pick<ListPlace<number>, 'key' | 'id'> | undefined,
  limit: number,
): Promise<FoundClientRow[]> {
  const where = conditions(search);
  const params: Value[] = before === undefined ? [] : [before.key, before.id];
  const page = before === undefined ? '' : ' AND (created_at, id) < (?, ?)';
  return db.all(
    `SELECT ${CLIENT_COLUMNS}, ${OWNER_MAILBOX} FROM oauth_clients
     WHERE 1 = 1${where.sql}${page} ORDER BY created_at DESC, id DESC LIMIT ?`,
    [...where.params, ...params, limit],
  );
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

function conditions({ nameStart, mailbox, owner, status, origin }: ClientSearch): Part {
  const found = startsWith(nameStart, { name: 'name', id: 'id' });
  const parts: Part[] = [
    found,
    ...(mailbox === undefined
      ? []
      : [{ sql: ' AND owner IN (SELECT id FROM accounts WHERE mailbox = ?)', params: [mailbox] }]),
    ...(owner === undefined ? [] : [{ sql: ' AND owner = ?', params: [owner] }]),
    ...(status === undefined ? [] : [{ sql: STATUSES[status], params: [] }]),
    ...(origin === undefined ? [] : [{ sql: ' AND origin = ?', params: [origin] }]),
  ];
  return { sql: parts.map(({ sql }) => sql).join(''), params: parts.flatMap(({ params }) => params) };
}
