import type { ListFilter } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds, searchParams, stateParam } from './pages.ts';
import type { ClaimMode, RegistrationKind } from './registrations.ts';

export interface AgentRow {
  id: string;
  accountId: string;
  mergedFrom: string | null;
  registrationId: string;
  name: string | null;
  createdAt: number;
  revokedAt: number | null;
  /** Since when it has the owner it has; null: nobody's. */
  ownedAt: number | null;
  /** What its owner left it; null: nothing was taken. */
  scope: string | null;
  /** When and where it last got a token. */
  seenAt: number | null;
  seenFrom: string | null;
}

export async function insertAgent(
  tx: Tx,
  agent: {
    id: string;
    accountId: string;
    registrationId: string;
    name: string | null;
    now: number;
    ownedAt?: number;
  },
): Promise<void> {
  await tx.run(
    'INSERT INTO agents (id, account_id, registration_id, name, created_at, owned_at) VALUES (?, ?, ?, ?, ?, ?)',
    [agent.id, agent.accountId, agent.registrationId, agent.name, agent.now, agent.ownedAt ?? null],
  );
}

export function findAgent(db: Pick<Tx, 'get'>, id: string): Promise<AgentRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM agents WHERE id = ?`, [id]);
}

/** Moves an agent into its new owner's account, remembering the one it leaves; only if it still is where it was. */
export function updateAgentMerged(
  tx: Tx,
  id: string,
  from: string,
  to: string,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = account_id, owned_at = ?
     WHERE id = ? AND account_id = ? AND revoked_at IS NULL`,
    [to, now, id, from],
  );
}

/** Notes that an agent, which stays in its account, has an owner now. */
export function updateAgentOwned(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE agents SET owned_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/** Lets an agent go on without owner, in an account of its own; only if it still is where it was. */
export function updateAgentReleased(tx: Tx, id: string, from: string, to: string): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = NULL, owned_at = NULL
     WHERE id = ? AND account_id = ? AND owned_at IS NOT NULL AND revoked_at IS NULL`,
    [to, id, from],
  );
}

/** Notes what an agent's owner leaves it: nothing that it gets later is wider. Null: nothing is taken from it. */
export function updateAgentScope(tx: Tx, id: string, scope: string | null): Promise<number> {
  return tx.run('UPDATE agents SET scope = ? WHERE id = ?', [scope, id]);
}

export function updateAgentName(tx: Tx, id: string, name: string): Promise<number> {
  return tx.run('UPDATE agents SET name = ? WHERE id = ?', [name, id]);
}

/**
 * Makes whatever else changes this agent's keys wait until the transaction ends: who reads them now and writes next would
 * otherwise miss the one that is being made. Says whether the agent is there and not revoked.
 */
export async function lockAgent(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run('UPDATE agents SET name = name WHERE id = ? AND revoked_at IS NULL', [id])) === 1;
}

/** The same as holdAgent, for an agent that gets a token, which counts as a use. */
export async function updateAgentSeen(tx: Tx, id: string, now: number, from: string): Promise<boolean> {
  const sql = 'UPDATE agents SET seen_at = ?, seen_from = ? WHERE id = ? AND revoked_at IS NULL';
  return (await tx.run(sql, [now, from, id])) === 1;
}

/** The agents of a human: merged into their account, or in accounts linked to it. Newest owned first. */
export function listOwnedAgents(db: Pick<Db, 'all'>, ownerId: string): Promise<AgentRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM agents WHERE ${OWNED} ORDER BY owned_at DESC, id DESC`, [
    ownerId,
    ownerId,
  ]);
}

/**
 * A page of them, newest owned first.
 *
 * @param before the last of the page before
 * @param overSince agents under hosts that were registered then, or before, have come to their end (epoch ms)
 */
export function listOwnedPage(
  db: Pick<Db, 'all'>,
  ownerId: string,
  filter: ListFilter,
  before: { ownedAt: number; id: string } | undefined,
  overSince: number,
  limit: number,
): Promise<AgentRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM agents WHERE ${OWNED} AND (owned_at, id) < (?, ?)
       AND (LOWER(COALESCE(name, '')) LIKE ? ESCAPE '!' OR name LIKE ? ESCAPE '!' OR id = ?)
       AND CASE WHEN revoked_at IS NULL AND NOT EXISTS
         (SELECT 1 FROM hosted_agents h WHERE h.id = agents.id AND h.created_at <= ?) THEN 'live' ELSE 'ended' END LIKE ?
     ORDER BY owned_at DESC, id DESC LIMIT ?`,
    [
      ownerId,
      ownerId,
      before?.ownedAt ?? Number.MAX_SAFE_INTEGER,
      before?.id ?? '~',
      ...searchParams(filter),
      overSince,
      stateParam(filter),
      limit,
    ],
  );
}

/** The names of the agents of a page. */
export async function listAgentNames(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  const rows = await db.all<{ id: string; name: string | null }>(
    `SELECT id, name FROM agents WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/** One of a human's. */
export function findOwnedAgent(
  db: Pick<Tx, 'get'>,
  ownerId: string,
  id: string,
): Promise<AgentRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM agents WHERE id = ? AND ${OWNED}`, [id, ownerId, ownerId]);
}

export function updateAgentRevoked(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE agents SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/** An agent with what it came by: all that its state is computed from. */
export interface DescribedAgentRow
  extends Pick<
    AgentRow,
    'id' | 'accountId' | 'mergedFrom' | 'registrationId' | 'name' | 'createdAt' | 'revokedAt' | 'ownedAt'
  > {
  registrationKind: RegistrationKind;
  mode: ClaimMode | null;
  registrationExpiresAt: number;
  /** The human's account behind the one that it works in. */
  ownerId: string | null;
  ownerMailbox: string | null;
  /** Null: it has no claim of its own. */
  claimExpiresAt: number | null;
  claimClaimedAt: number | null;
  claimEndedAt: number | null;
  /** The newest attempt at its claim, the live one if there is one; null: none. */
  attemptMailbox: string | null;
  attemptEndedAt: number | null;
  codeExpiresAt: number | null;
  /** The newest mail of that attempt. */
  mailSentAt: number | null;
  /** When an agent under a host was registered there, which its whole life counts from. */
  hostedSince: number | null;
  mailDeadAt: number | null;
}

export const DESCRIBED_PAGE = 100;

/** Agents after an id, oldest first, DESCRIBED_PAGE at most. */
export function listDescribedAgents(db: Pick<Db, 'all'>, after: string): Promise<DescribedAgentRow[]> {
  // How many is said in the text: a planner that does not know it expects many, and reads whole tables for them.
  return db.all(`${DESCRIBED} WHERE a.id > ? ORDER BY a.id LIMIT ${DESCRIBED_PAGE}`, [after]);
}

export function findDescribedAgent(db: Pick<Tx, 'get'>, id: string): Promise<DescribedAgentRow | undefined> {
  return db.get(`${DESCRIBED} WHERE a.id = ?`, [id]);
}

const OWNED = `owned_at IS NOT NULL AND account_id IN (SELECT ? UNION ALL SELECT id FROM accounts WHERE parent_id = ?)`;
const DESCRIBED = `SELECT a.id, a.account_id AS "accountId", a.merged_from AS "mergedFrom", a.registration_id AS "registrationId",
  a.name, a.created_at AS "createdAt", a.revoked_at AS "revokedAt", a.owned_at AS "ownedAt",
  r.kind AS "registrationKind", r.mode, r.expires_at AS "registrationExpiresAt",
  o.id AS "ownerId", o.mailbox AS "ownerMailbox",
  c.expires_at AS "claimExpiresAt", c.claimed_at AS "claimClaimedAt", c.ended_at AS "claimEndedAt",
  t.mailbox AS "attemptMailbox", t.ended_at AS "attemptEndedAt", t.code_expires_at AS "codeExpiresAt",
  m.sent_at AS "mailSentAt", m.dead_at AS "mailDeadAt",
  (SELECT h.created_at FROM hosted_agents h WHERE h.id = a.id) AS "hostedSince"
FROM agents a
  JOIN registrations r ON r.id = a.registration_id
  JOIN accounts w ON w.id = a.account_id
  LEFT JOIN accounts o ON o.id = CASE w.kind WHEN 'human' THEN w.id ELSE w.parent_id END
  LEFT JOIN claims c ON c.registration_id = a.registration_id
  LEFT JOIN claim_attempts t ON t.id = (SELECT id FROM claim_attempts WHERE registration_id = a.registration_id
    ORDER BY (ended_at IS NULL) DESC, id DESC LIMIT 1)
  LEFT JOIN outbox m ON m.id = (SELECT id FROM outbox WHERE attempt_id = t.id ORDER BY id DESC LIMIT 1)`;
const COLUMNS = `id, account_id AS "accountId", merged_from AS "mergedFrom", registration_id AS "registrationId",
  name, created_at AS "createdAt", revoked_at AS "revokedAt", owned_at AS "ownedAt",
  scope, seen_at AS "seenAt", seen_from AS "seenFrom"`;
