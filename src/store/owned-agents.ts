import type { ListPlace } from '../lib/list-pages.ts';
import { AGENT_COLUMNS, type AgentRow, OWNER_OF_ACCOUNT } from './agents.ts';
import type { Db, Tx } from './engine/db.ts';
import {
  countIf,
  countUpTo,
  type ListOrder,
  type Part,
  rowsBeside,
  rowsUpTo,
  SCAN_MAX,
  startsWith,
} from './pages.ts';

/** The agents of an owner: merged into their account, or linked to it and in accounts of their own. */

/** Each owned agent is in one state. `revoked`: also if it ran under a host and its absolute lifetime elapsed. */
export type OwnedState = 'active' | 'unused' | 'revoked';

/** What an owner's list of agents is narrowed to. */
export interface OwnedFilter {
  /** The start of a name, in any case, or of an id. */
  search: string | undefined;
  state: OwnedState | undefined;
  /** Epoch ms; agents that registered under a host by then are past their absolute lifetime. */
  lifetimeStart: number;
}

/** How an owner's list of agents is sorted: by last use or by name, then by id. */
export interface OwnedOrder {
  by: 'used' | 'name';
  isDescending: boolean;
}

/** Lists all agents of an owner, newest owned first. */
export function listOwnedAgents(db: Pick<Db, 'all'>, ownerId: string): Promise<AgentRow[]> {
  return db.all(`SELECT ${AGENT_COLUMNS} FROM agents WHERE ${OWNED} ORDER BY owned_at DESC, id DESC`, [
    ownerId,
    ownerId,
  ]);
}

/**
 * Lists a page of an owner's agents, merged and linked ones: they come in order from the index `agents_owner`, however
 * many there are. Those whose owner a version before changed are read beside them.
 *
 * @param place where the page begins or ends; undefined: the first page
 * @param limit a constant of the program
 * @returns `sortName`: the name as the list is sorted by it
 */
export function listOwnedPage(
  db: Pick<Db, 'all'>,
  ownerId: string,
  filter: OwnedFilter,
  order: OwnedOrder,
  place: ListPlace | undefined,
  limit: number,
): Promise<(AgentRow & { sortName: string })[]> {
  const narrowed = narrow(ownerId, filter);
  const { condition, orderBy } = rowsBeside(
    toListOrder(order),
    place && { side: place.side, values: [place.key, place.id] },
  );
  const branch = (isOwned: string) =>
    `SELECT id FROM (SELECT id FROM agents WHERE ${isOwned} ${narrowed.sql}${condition.sql} ${orderBy} LIMIT ${limit})`;
  const params = [...narrowed.params, ...condition.params];
  return db.all(
    `SELECT ${AGENT_COLUMNS}, ${KEYS.name} AS "sortName" FROM agents WHERE id IN
       (${branch(KNOWN)} known UNION ALL ${branch(UNKNOWN)} unknown) ${orderBy} LIMIT ${limit}`,
    [ownerId, ...params, ownerId, ownerId, ...params],
  );
}

/** How many agents an owner has. */
export interface OwnedCounts extends Record<OwnedState, number> {
  /** All agents, whatever is searched for. The states count those that are found. */
  all: number;
  /** Those before `place` in the list. */
  preceding: number;
  /** The hosts of the owner, up to COUNT_MAX + 1. */
  hosts: number;
}

/** Counts an owner's agents by state, of those that are searched for, in one pass. At most SCAN_MAX agents are looked at. */
export async function countOwned(
  db: Pick<Db, 'get'>,
  ownerId: string,
  { search, state, lifetimeStart }: OwnedFilter,
  order: OwnedOrder,
  place: ListPlace | undefined,
): Promise<OwnedCounts> {
  const found = startsWith(search, { name: 'name', id: 'id' });
  const upTo =
    place &&
    rowsUpTo(
      { keys: ['sort_key', 'id'], isDescending: order.isDescending },
      { side: place.side, values: [place.key, place.id] },
    );
  const row = await db.get<OwnedCounts>(
    `SELECT COUNT(*) AS "all", ${countIf(`is_found = 1 AND state = 'active'`)} AS active,
       ${countIf(`is_found = 1 AND state = 'unused'`)} AS unused,
       ${countIf(`is_found = 1 AND state = 'revoked'`)} AS revoked,
       ${upTo ? countIf(`is_found = 1 ${state ? 'AND state = ?' : ''} ${upTo.sql}`) : '0'} AS preceding,
       ${countUpTo('FROM hosts WHERE owner_id = ?')} AS hosts
     FROM (SELECT id, ${upTo ? KEYS[order.by] : '0'} AS sort_key,
         CASE WHEN 1 = 1 ${found.sql} THEN 1 ELSE 0 END AS is_found,
         CASE WHEN revoked_at IS NOT NULL OR id IN ${OVER} THEN 'revoked'
           WHEN ${KEYS.used} = 0 THEN 'unused' ELSE 'active' END AS state
       FROM (${COUNTED} ${KNOWN} UNION ALL ${COUNTED} ${UNKNOWN}) each_agent LIMIT ${SCAN_MAX}) owned`,
    [
      ...(upTo && state ? [state] : []),
      ...(upTo?.params ?? []),
      ownerId,
      ...found.params,
      ownerId,
      lifetimeStart,
      ownerId,
      ownerId,
      ownerId,
    ],
  );
  return row!;
}

/** Whether an owner has an agent, or had one that was revoked. */
export async function hasOwnedAgent(db: Pick<Db, 'get'>, ownerId: string): Promise<boolean> {
  return (await db.get(`SELECT id FROM agents WHERE ${OWNED} LIMIT 1`, [ownerId, ownerId])) !== undefined;
}

/** Finds an agent of an owner; undefined also for an agent of another owner. */
export function findOwnedAgent(
  db: Pick<Tx, 'get'>,
  ownerId: string,
  id: string,
): Promise<AgentRow | undefined> {
  return db.get(`SELECT ${AGENT_COLUMNS} FROM agents WHERE id = ? AND ${OWNED}`, [id, ownerId, ownerId]);
}

/** Whether there are agents whose owner a version before changed. */
export async function hasUnknownOwners(db: Pick<Db, 'get'>): Promise<boolean> {
  return (await db.get(`SELECT id FROM agents WHERE ${IS_UNKNOWN} LIMIT 1`)) !== undefined;
}

/**
 * Writes the owner to at most `limit` agents whose owner a version before changed. An agent that changes hands meanwhile is
 * left as it is: what is written with it is the owner at the time that `owner_since` says, which then is not `owned_at`.
 *
 * @returns how many
 */
export function updateUnknownOwners(tx: Tx, limit: number): Promise<number> {
  return tx.run(
    `UPDATE agents SET (owner_id, owner_since) = (SELECT ${OWNER_OF_ACCOUNT} = now.account_id), now.owned_at
       FROM agents now WHERE now.id = agents.id)
     WHERE id IN (SELECT id FROM agents WHERE ${IS_UNKNOWN} LIMIT ?)`,
    [limit],
  );
}

/**
 * The accounts of an owner's linked agents. The second condition is always true: of it the planner of PostgreSQL expects few
 * rows, and so reads the agents of these accounts by their index. It would look through those of all others as soon as one
 * owner has thousands.
 */
const LINKED = `SELECT id FROM accounts WHERE parent_id = ? AND parent_id || '' = parent_id`;
const OF_ACCOUNTS = `account_id IN (SELECT ? UNION ALL ${LINKED})`;
/** The agents whose owner stands with them. */
const KNOWN = 'owner_since = owned_at AND owner_id = ?';
/**
 * Those whose owner a version before changed, until updateUnknownOwners() has come to them. They are found by their accounts,
 * which takes long for thousands of linked ones: so only where there is any. Of a comparison with CASE the planner of
 * PostgreSQL expects few rows; of one with IS DISTINCT FROM it would expect all others.
 */
const IS_UNKNOWN = 'owned_at IS NOT NULL AND CASE WHEN owner_since = owned_at THEN 1 ELSE 0 END = 0';
const UNKNOWN = `${IS_UNKNOWN} AND ${OF_ACCOUNTS} AND EXISTS (SELECT 1 FROM agents WHERE ${IS_UNKNOWN})`;
const COUNTED = 'SELECT id, name, seen_at, revoked_at FROM agents WHERE';
const OWNED = `owned_at IS NOT NULL AND ${OF_ACCOUNTS}`;
/** As the index `agents_owner` has them. */
const KEYS = { used: 'COALESCE(seen_at, 0)', name: `LOWER(COALESCE(name, ''))` };

function toListOrder({ by, isDescending }: OwnedOrder): ListOrder {
  return { keys: [KEYS[by], 'id'], isDescending };
}

/** Agents past their absolute lifetime. Those under hosts are few, and their hosts have the same owner. */
const OVER = `(SELECT h.id FROM hosts o JOIN hosted_agents h ON h.host_id = o.id
  WHERE o.owner_id = ? AND h.created_at <= ?)`;

/** Returns the condition for a state and a search. */
function narrow(ownerId: string, { search, state, lifetimeStart }: OwnedFilter): Part {
  const found = startsWith(search, { name: 'name', id: 'id' });
  if (state === undefined) return found;
  const live = `revoked_at IS NULL AND id NOT IN ${OVER}`;
  const sql = {
    active: ` AND ${KEYS.used} > 0 AND ${live}`,
    unused: ` AND ${KEYS.used} = 0 AND ${live}`,
    revoked: ` AND (revoked_at IS NOT NULL OR id IN ${OVER})`,
  }[state];
  return { sql: sql + found.sql, params: [ownerId, lifetimeStart, ...found.params] };
}
