import type { Db } from './engine/db.ts';
import { CLIENT_COLUMNS, type OAuthClientRow } from './oauth-clients.ts';
import { type CreationPlace, startsWith, type WindowedSearch, windowedEnd, windowedRows } from './pages.ts';

/** Statements by which operators look through all OAuth clients, newest first. */

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

/** Lists clients that were created before a place, among the first that a page looks through. */
export function listClientsFound(
  db: Pick<Db, 'all'>,
  search: ClientSearch,
  before: CreationPlace | undefined,
  limit: number,
): Promise<FoundClientRow[]> {
  const { sql, params } = windowedRows(toWindowed(search, before), FOUND_COLUMNS, limit);
  return db.all(sql, params);
}

/** Finds the last client that listClientsFound() looked at; undefined: it came to the end. */
export function findClientWindowEnd(
  db: Pick<Db, 'get'>,
  search: ClientSearch,
  before: CreationPlace | undefined,
): Promise<CreationPlace | undefined> {
  const { sql, params } = windowedEnd(toWindowed(search, before));
  return db.get(sql, params);
}

/** Finds one client as listClientsFound() does. */
export function findClientFound(db: Pick<Db, 'get'>, id: string): Promise<FoundClientRow | undefined> {
  return db.get(`SELECT ${FOUND_COLUMNS} FROM oauth_clients WHERE id = ?`, [id]);
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

const FOUND_COLUMNS = `${CLIENT_COLUMNS}, (SELECT mailbox FROM accounts a WHERE a.id = owner) AS "ownerMailbox"`;

const STATUSES: Record<ClientStatus, string> = {
  active: ' AND ended_at IS NULL AND suspended_at IS NULL AND used_at IS NOT NULL',
  unused: ' AND ended_at IS NULL AND suspended_at IS NULL AND used_at IS NULL',
  suspended: ' AND ended_at IS NULL AND suspended_at IS NOT NULL',
  ended: ' AND ended_at IS NOT NULL',
};

function toWindowed(
  { mailbox, owner, nameStart, status, origin }: ClientSearch,
  before: CreationPlace | undefined,
): WindowedSearch {
  return {
    table: 'oauth_clients',
    range: [
      ...(mailbox === undefined
        ? []
        : [{ sql: ' AND owner IN (SELECT id FROM accounts WHERE mailbox = ?)', params: [mailbox] }]),
      ...(owner === undefined ? [] : [{ sql: ' AND owner = ?', params: [owner] }]),
    ],
    filters: [
      startsWith(nameStart, { name: 'name', id: 'id' }),
      ...(status === undefined ? [] : [{ sql: STATUSES[status], params: [] }]),
      ...(origin === undefined ? [] : [{ sql: ' AND origin = ?', params: [origin] }]),
    ],
    before,
  };
}
