import type { Db, Value } from './engine/db.ts';

/** Statements by which operators look through all keys, newest first. */

/** How many keys a page looks through at most, see agent-search.ts: fewer, since their rows are not in the order of their ids. */
const WINDOW_ROWS = 4000;

/** Which keys are looked through. */
export type KeyRange =
  | { by: 'all' }
  /** Those with this public start. */
  | { by: 'prefix'; prefix: string }
  | { by: 'agent'; agentId: string }
  | { by: 'account'; accountId: string }
  /** Those of the human with a canonical mailbox, and of the accounts below theirs. */
  | { by: 'mailbox'; mailbox: string };

/** Selects keys: each member narrows the selection. */
export interface KeySearch {
  range: KeyRange;
  /** Ids from here on, and up to there: both inclusive. */
  fromId: string;
  toId: string;
  idStart?: string | undefined;
  nameStart?: string | undefined;
  /** `expiring`: it works, and expires before `expiresBy`. */
  status?: 'active' | 'expiring' | 'revoked' | 'expired' | undefined;
  holder?: 'agent' | 'personal' | 'app' | undefined;
}

/** A key with what its line in a list says. */
export interface FoundKeyRow {
  hash: Buffer;
  id: string;
  name: string | null;
  prefix: string;
  scope: string;
  resources: string | null;
  agentId: string | null;
  accountId: string;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
  lastUsedFrom: string | null;
  ownerId: string | null;
  ownerMailbox: string | null;
  /** Of the key of a thing: the workspace that the thing is in; null: another key. */
  workspaceId: string | null;
}

/**
 * Lists keys before an id, newest first.
 *
 * @param times epoch ms
 */
export function listKeysFound(
  db: Pick<Db, 'all'>,
  search: KeySearch,
  before: string,
  times: { now: number; expiresBy: number },
  limit: number,
): Promise<FoundKeyRow[]> {
  const where = conditions(search, times);
  const rows = windowOf(search, before, where.sql === '' ? limit : WINDOW_ROWS);
  return db.all(`${FOUND} FROM (${rows.sql}) k ${JOINS} ${where.sql} ORDER BY k.id DESC LIMIT ?`, [
    ...rows.params,
    ...where.params,
    limit,
  ]);
}

/** Finds the last key that listKeysFound() looked at; undefined: it came to the end. */
export async function findKeyWindowEnd(
  db: Pick<Db, 'get'>,
  search: KeySearch,
  before: string,
): Promise<string | undefined> {
  const rows = windowOf(search, before, WINDOW_ROWS);
  const row = await db.get<{ id: string | null; count: number }>(
    `SELECT MIN(k.id) AS id, COUNT(*) AS count FROM (${rows.sql}) k`,
    rows.params,
  );
  return row!.count === WINDOW_ROWS ? (row!.id ?? undefined) : undefined;
}

/** Finds one key as listKeysFound() does; access tokens are none. */
export function findKeyFound(db: Pick<Db, 'get'>, id: string): Promise<FoundKeyRow | undefined> {
  return db.get(`${FOUND} FROM credentials k ${JOINS} WHERE k.id = ? AND k.kind <> 'token'`, [id]);
}

/**
 * Counts the keys that work among the newest ones.
 *
 * @param expiresBy epoch ms; `expiring` are those that expire by then
 * @param max how many of the newest keys are looked at
 */
export async function countActiveKeys(
  db: Pick<Db, 'get'>,
  now: number,
  expiresBy: number,
  max: number,
): Promise<{ looked: number; active: number; expiring: number }> {
  const row = await db.get<{ looked: number; active: number | null; expiring: number | null }>(
    `SELECT COUNT(*) AS looked,
       SUM(CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) THEN 1 ELSE 0 END) AS active,
       SUM(CASE WHEN revoked_at IS NULL AND expires_at > ? AND expires_at <= ? THEN 1 ELSE 0 END) AS expiring
     FROM (SELECT revoked_at, expires_at FROM credentials WHERE id >= 'key_' AND id <= 'key_zzzzzzzzzzzzzzzz' ORDER BY id DESC LIMIT ?) k`,
    [now, now, expiresBy, max],
  );
  return { looked: row!.looked, active: row!.active ?? 0, expiring: row!.expiring ?? 0 };
}

/** Lists keys and tokens of an account that work, its agents' among them. Keys of things are those of their workspaces. */
export function listActiveOfAccount(
  db: Pick<Db, 'all'>,
  accountId: string,
  now: number,
  limit: number,
): Promise<{ hash: Buffer; id: string; accountId: string; agentId: string | null }[]> {
  return db.all(
    `SELECT hash, id, account_id AS "accountId", agent_id AS "agentId" FROM credentials
     WHERE account_id = ? AND kind <> 'app_key' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) LIMIT ?`,
    [accountId, now, limit],
  );
}

interface Part {
  sql: string;
  params: Value[];
}

/** The keys to look through, newest first. */
function windowOf({ range, fromId, toId }: KeySearch, before: string, rows: number): Part {
  const [sql, params] = rangeOf(range);
  return {
    sql: `SELECT * FROM credentials WHERE ${sql} id >= ? AND id <= ? AND id < ?
      ORDER BY id DESC LIMIT ${rows === WINDOW_ROWS ? WINDOW_ROWS : '?'}`,
    params: [...params, fromId, toId, before, ...(rows === WINDOW_ROWS ? [] : [rows])],
  };
}

function rangeOf(range: KeyRange): [sql: string, params: Value[]] {
  switch (range.by) {
    case 'all':
      return ['', []];
    case 'prefix':
      return ['prefix = ? AND', [range.prefix]];
    case 'agent':
      return ['agent_id = ? AND', [range.agentId]];
    case 'account':
      return ['account_id = ? AND', [range.accountId]];
    case 'mailbox':
      return [
        `account_id IN (SELECT id FROM accounts WHERE mailbox = ?
          UNION ALL SELECT c.id FROM accounts c JOIN accounts p ON p.id = c.parent_id WHERE p.mailbox = ?) AND`,
        [range.mailbox, range.mailbox],
      ];
  }
}

function conditions(search: KeySearch, { now, expiresBy }: { now: number; expiresBy: number }): Part {
  const starts = (text: string) => `${text.replace(/[!%_]/g, '!$&')}%`;
  const { idStart, nameStart, status, holder } = search;
  const parts: Part[] = [
    ...(idStart === undefined ? [] : [{ sql: `k.id LIKE ? ESCAPE '!'`, params: [starts(idStart)] }]),
    ...(nameStart === undefined
      ? []
      : [
          {
            sql: `(LOWER(k.name) LIKE ? ESCAPE '!' OR k.name LIKE ? ESCAPE '!')`,
            params: [starts(nameStart.toLowerCase()), starts(nameStart)],
          },
        ]),
    ...(holder === undefined ? [] : [{ sql: HOLDER[holder], params: [] }]),
    ...(status === undefined ? [] : [statusPart(status, now, expiresBy)]),
  ];
  if (parts.length === 0) return { sql: '', params: [] };
  return {
    sql: `WHERE ${parts.map(({ sql }) => sql).join(' AND ')}`,
    params: parts.flatMap(({ params }) => params),
  };
}

const HOLDER = {
  agent: 'k.agent_id IS NOT NULL',
  personal: `k.agent_id IS NULL AND k.kind = 'key'`,
  app: `k.kind = 'app_key'`,
} as const;

function statusPart(status: NonNullable<KeySearch['status']>, now: number, expiresBy: number): Part {
  switch (status) {
    case 'active':
      return { sql: 'k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?)', params: [now] };
    case 'expiring':
      return {
        sql: 'k.revoked_at IS NULL AND k.expires_at > ? AND k.expires_at <= ?',
        params: [now, expiresBy],
      };
    case 'revoked':
      return { sql: 'k.revoked_at IS NOT NULL', params: [] };
    case 'expired':
      return { sql: 'k.revoked_at IS NULL AND k.expires_at <= ?', params: [now] };
  }
}

const FOUND = `SELECT k.hash, k.id, k.name, k.prefix, k.scope, k.resources, k.agent_id AS "agentId", k.account_id AS "accountId",
  k.created_at AS "createdAt", k.expires_at AS "expiresAt", k.revoked_at AS "revokedAt", k.last_used_at AS "lastUsedAt",
  k.last_used_from AS "lastUsedFrom", o.id AS "ownerId", o.mailbox AS "ownerMailbox",
  CASE k.kind WHEN 'app_key' THEN (SELECT MIN(p.workspace_id) FROM places p WHERE p.holder = k.id) END AS "workspaceId"`;
const JOINS = `JOIN accounts c ON c.id = k.account_id
  LEFT JOIN accounts o ON k.kind <> 'app_key' AND o.id = CASE c.kind WHEN 'human' THEN c.id ELSE c.parent_id END`;
