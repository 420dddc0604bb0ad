import type { Db, Value } from './engine/db.ts';

/** Statements by which operators look through all agents, newest first. */

/**
 * How many agents a page looks through at most where a condition has no index. The page then says how far it got, and
 * the next one goes on from there: no request reads a table of a million rows.
 */
const WINDOW_ROWS = 10_000;

/** Which agents are looked through. */
export type AgentRange =
  | { by: 'all' }
  /** Those of an account, and of the accounts below it. */
  | { by: 'account'; accountId: string }
  /** Those of the human with a canonical mailbox. */
  | { by: 'mailbox'; mailbox: string }
  /** Those that have or had a key with this public start. */
  | { by: 'keyPrefix'; prefix: string };

/** Selects agents: each member narrows the selection. */
export interface AgentSearch {
  range: AgentRange;
  /** Ids from here on, and up to there: both inclusive. */
  fromId?: string | undefined;
  toId?: string | undefined;
  /** How the id, the name in any case, or the network starts. */
  idStart?: string | undefined;
  nameStart?: string | undefined;
  networkStart?: string | undefined;
  /** The agent provider whose word it came, or was claimed, by. */
  issuer?: string | undefined;
  status?: 'active' | 'revoked' | 'expired' | undefined;
  type?: 'anonymous' | 'merge' | 'link' | undefined;
}

/** An agent with what its line in a list says. */
export interface FoundAgentRow {
  id: string;
  name: string | null;
  accountId: string;
  registrationId: string;
  createdAt: number;
  revokedAt: number | null;
  ownedAt: number | null;
  seenAt: number | null;
  seenFrom: string | null;
  /** The coarse network that it registered from; null: unknown. */
  origin: string | null;
  /** When an agent without an owner expires. */
  expiresAt: number | null;
  accountKind: 'human' | 'agent';
  ownerId: string | null;
  ownerMailbox: string | null;
  /** When it registered under a host; null: it runs under none. */
  hostedSince: number | null;
}

/**
 * Lists agents before an id, newest first.
 *
 * @param before exclusive; undefined: from the newest on
 * @param times.lifetimeStart epoch ms; agents that registered under a host by then are past their absolute lifetime
 */
export function listAgentsFound(
  db: Pick<Db, 'all'>,
  search: AgentSearch,
  before: string | undefined,
  times: { now: number; lifetimeStart: number },
  limit: number,
): Promise<FoundAgentRow[]> {
  const where = conditions(search, times);
  const rows = windowOf(search, before, where.sql === '' ? limit : WINDOW_ROWS);
  return db.all(`${FOUND} FROM (${rows.sql}) a ${JOINS} ${where.sql} ORDER BY a.id DESC LIMIT ?`, [
    ...rows.params,
    ...where.params,
    limit,
  ]);
}

/** Finds the last agent that listAgentsFound() looked at; undefined: it came to the end. */
export async function findWindowEnd(
  db: Pick<Db, 'get'>,
  search: AgentSearch,
  before: string | undefined,
): Promise<string | undefined> {
  const rows = windowOf(search, before, WINDOW_ROWS);
  const row = await db.get<{ id: string | null; count: number }>(
    `SELECT MIN(a.id) AS id, COUNT(*) AS count FROM (${rows.sql}) a`,
    rows.params,
  );
  return row!.count === WINDOW_ROWS ? (row!.id ?? undefined) : undefined;
}

/** Finds one agent as listAgentsFound() does. */
export function findAgentFound(db: Pick<Db, 'get'>, id: string): Promise<FoundAgentRow | undefined> {
  return db.get(`${FOUND} FROM agents a ${JOINS} WHERE a.id = ?`, [id]);
}

/** Counts the agents from an id on, up to `max`. */
export async function countAgents(db: Pick<Db, 'get'>, fromId: string, max: number): Promise<number> {
  const row = await db.get<{ count: number }>(
    'SELECT COUNT(*) AS count FROM (SELECT id FROM agents WHERE id >= ? LIMIT ?) a',
    [fromId, max],
  );
  return row!.count;
}

interface Part {
  sql: string;
  params: Value[];
}

/** The agents to look through, newest first. */
function windowOf(
  { range, fromId = '', toId = '~' }: AgentSearch,
  before: string | undefined,
  rows: number,
): Part {
  const bounds = 'id >= ? AND id <= ? AND id < ?';
  const limits = [fromId, toId, before ?? '~'];
  const from = RANGES[range.by];
  return {
    sql: `SELECT * FROM agents WHERE ${from.sql}${bounds} ORDER BY id DESC LIMIT ${rows === WINDOW_ROWS ? WINDOW_ROWS : '?'}`,
    params: [...from.params(range), ...limits, ...(rows === WINDOW_ROWS ? [] : [rows])],
  };
}

const RANGES: Record<AgentRange['by'], { sql: string; params(range: AgentRange): Value[] }> = {
  all: { sql: '', params: () => [] },
  account: {
    sql: 'account_id IN (SELECT ? UNION ALL SELECT id FROM accounts WHERE parent_id = ?) AND ',
    params: (range) => (range.by === 'account' ? [range.accountId, range.accountId] : []),
  },
  mailbox: {
    sql: `account_id IN (SELECT id FROM accounts WHERE mailbox = ?
        UNION ALL SELECT c.id FROM accounts c JOIN accounts p ON p.id = c.parent_id WHERE p.mailbox = ?) AND `,
    params: (range) => (range.by === 'mailbox' ? [range.mailbox, range.mailbox] : []),
  },
  keyPrefix: {
    sql: 'id IN (SELECT agent_id FROM credentials WHERE prefix = ?) AND ',
    params: (range) => (range.by === 'keyPrefix' ? [range.prefix] : []),
  },
};

function conditions(
  search: AgentSearch,
  { now, lifetimeStart }: { now: number; lifetimeStart: number },
): Part {
  const starts = (text: string) => `${text.replace(/[!%_]/g, '!$&')}%`;
  const { idStart, nameStart, networkStart, issuer, status, type } = search;
  const isOver = `COALESCE((a.owned_at IS NULL AND r.expires_at <= ?) OR h.created_at <= ?, FALSE)`;
  const parts: Part[] = [
    ...(idStart === undefined ? [] : [{ sql: `a.id LIKE ? ESCAPE '!'`, params: [starts(idStart)] }]),
    ...(nameStart === undefined
      ? []
      : [
          {
            sql: `(LOWER(a.name) LIKE ? ESCAPE '!' OR a.name LIKE ? ESCAPE '!')`,
            params: [starts(nameStart.toLowerCase()), starts(nameStart)],
          },
        ]),
    ...(networkStart === undefined
      ? []
      : [{ sql: `a.origin LIKE ? ESCAPE '!'`, params: [starts(networkStart)] }]),
    ...(issuer === undefined
      ? []
      : [
          {
            sql: 'EXISTS (SELECT 1 FROM principals p WHERE p.principal = r.principal AND p.issuer = ?)',
            params: [issuer],
          },
        ]),
    ...(type === undefined ? [] : [{ sql: TYPES[type], params: [] }]),
    ...(status === undefined
      ? []
      : status === 'revoked'
        ? [{ sql: 'a.revoked_at IS NOT NULL', params: [] }]
        : [
            {
              sql: `a.revoked_at IS NULL AND ${status === 'active' ? 'NOT ' : ''}${isOver}`,
              params: [now, lifetimeStart],
            },
          ]),
  ];
  if (parts.length === 0) return { sql: '', params: [] };
  return {
    sql: `WHERE ${parts.map(({ sql }) => sql).join(' AND ')}`,
    params: parts.flatMap(({ params }) => params),
  };
}

const TYPES = {
  anonymous: 'a.owned_at IS NULL',
  merge: 'a.owned_at IS NOT NULL AND a.account_id = o.id',
  link: 'a.owned_at IS NOT NULL AND a.account_id <> o.id',
};

const FOUND = `SELECT a.id, a.name, a.account_id AS "accountId", a.registration_id AS "registrationId", a.created_at AS "createdAt", a.revoked_at AS "revokedAt",
  a.owned_at AS "ownedAt", a.seen_at AS "seenAt", a.seen_from AS "seenFrom", a.origin, r.expires_at AS "expiresAt",
  c.kind AS "accountKind", o.id AS "ownerId", o.mailbox AS "ownerMailbox", h.created_at AS "hostedSince"`;
const JOINS = `JOIN accounts c ON c.id = a.account_id
  LEFT JOIN registrations r ON r.id = a.registration_id
  LEFT JOIN accounts o ON a.owned_at IS NOT NULL AND o.id = CASE c.kind WHEN 'human' THEN c.id ELSE c.parent_id END
  LEFT JOIN hosted_agents h ON h.id = a.id`;
