import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';
import type { ClaimMode, RegistrationKind } from './registrations.ts';

/** An agent. It works in one account at a time. */
export interface AgentRow {
  id: string;
  accountId: string;
  /** The agent's own account before it was merged. */
  mergedFrom: string | null;
  registrationId: string;
  name: string | null;
  createdAt: number;
  revokedAt: number | null;
  /** Since when it has its current owner; null: it has no owner. */
  ownedAt: number | null;
  /** The scopes to which its owner restricted it, separated by spaces; null: no restriction. */
  scope: string | null;
  /** When it was last used, or issued a token: to the minute; null: never. */
  seenAt: number | null;
  /** Where, as text for its owner; null: it signed a request in its own environment. */
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
    scope?: string | null;
    /** The coarse network that it registers from; null: somebody else's request makes it, such as its human's. */
    origin: string | null;
  },
): Promise<void> {
  await tx.run(
    `INSERT INTO agents (id, account_id, registration_id, name, created_at, owned_at, scope, origin, owner_id, owner_since)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ${OWNER_OF_ACCOUNT} = ?), ?)`,
    [
      agent.id,
      agent.accountId,
      agent.registrationId,
      agent.name,
      agent.now,
      agent.ownedAt ?? null,
      agent.scope ?? null,
      agent.origin,
      agent.ownedAt === undefined ? null : agent.accountId,
      agent.ownedAt ?? null,
    ],
  );
}

export function findAgent(db: Pick<Tx, 'get'>, id: string): Promise<AgentRow | undefined> {
  return db.get(`SELECT ${AGENT_COLUMNS} FROM agents WHERE id = ?`, [id]);
}

/** Moves an agent from its account into its new owner's and records the old one; only if it is still there. */
export function updateAgentMerged(
  tx: Tx,
  id: string,
  fromId: string,
  toId: string,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = account_id, owned_at = ?, owner_id = ?, owner_since = ?
     WHERE id = ? AND account_id = ? AND revoked_at IS NULL`,
    [toId, now, toId, now, id, fromId],
  );
}

/** Records that the owner of an agent's account owns the agent now, which stays there. */
export function updateAgentOwned(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE agents SET owned_at = ?, owner_id = ${OWNER_OF_ACCOUNT} = agents.account_id), owner_since = ?
     WHERE id = ? AND revoked_at IS NULL`,
    [now, now, id],
  );
}

/** Removes the owner of an agent and moves it from one account to its own; only if it is still in the first. */
export function updateAgentReleased(tx: Tx, id: string, fromId: string, toId: string): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = NULL, owned_at = NULL, owner_id = NULL, owner_since = NULL
     WHERE id = ? AND account_id = ? AND owned_at IS NOT NULL AND revoked_at IS NULL`,
    [toId, id, fromId],
  );
}

/** Restricts an agent and its later credentials to scopes, separated by spaces; null: removes the restriction. */
export function updateAgentScope(tx: Tx, id: string, scope: string | null): Promise<number> {
  return tx.run('UPDATE agents SET scope = ? WHERE id = ?', [scope, id]);
}

export function updateAgentName(tx: Tx, id: string, name: string): Promise<number> {
  return tx.run('UPDATE agents SET name = ? WHERE id = ?', [name, id]);
}

/**
 * Locks an agent: every other transaction that locks it to change its keys waits until this one ends. Without the lock,
 * a transaction that reads the keys and then changes them would miss a key that another one inserts meanwhile.
 *
 * @returns whether the agent exists and is not revoked
 */
export async function lockAgent(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run('UPDATE agents SET name = name WHERE id = ? AND revoked_at IS NULL', [id])) === 1;
}

/** Locks an agent as lockAgent() does, and records when and from where it is issued a token. */
export async function updateAgentSeen(tx: Tx, id: string, now: number, from: string): Promise<boolean> {
  const sql = 'UPDATE agents SET seen_at = ?, seen_from = ? WHERE id = ? AND revoked_at IS NULL';
  return (await tx.run(sql, [now, from, id])) === 1;
}

/** Records when and where an agent was used, unless a later use is recorded. */
export function updateAgentUsed(tx: Tx, id: string, at: number, from: string | null): Promise<number> {
  return tx.run(
    'UPDATE agents SET seen_at = ?, seen_from = ? WHERE id = ? AND (seen_at IS NULL OR seen_at < ?)',
    [at, from, id, at],
  );
}

/** Finds the names of the agents of a page, by id. */
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

/** Revokes an agent; of concurrent calls, one returns 1 and the others 0. */
export function updateAgentRevoked(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE agents SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/** An agent with its registration, owner, claim and newest attempt: everything from which its state is computed. */
export interface AgentStateRow
  extends Pick<
    AgentRow,
    'id' | 'accountId' | 'mergedFrom' | 'registrationId' | 'name' | 'createdAt' | 'revokedAt' | 'ownedAt'
  > {
  registrationKind: RegistrationKind;
  mode: ClaimMode | null;
  registrationExpiresAt: number;
  /** The owner's account; null: the agent has no owner. */
  ownerId: string | null;
  ownerMailbox: string | null;
  /** Null: the registration has no claim. */
  claimExpiresAt: number | null;
  claimClaimedAt: number | null;
  claimEndedAt: number | null;
  /** Of the active attempt of the claim or, without one, of the newest; null: there is none. */
  attemptMailbox: string | null;
  attemptEndedAt: number | null;
  codeExpiresAt: number | null;
  /** Of the newest mail of that attempt, like `mailDeadAt`. */
  mailSentAt: number | null;
  /** Start of the absolute lifetime of an agent under a host: when it registered there. Null: it is under no host. */
  hostedSince: number | null;
  mailDeadAt: number | null;
}

/** Number of agents that listAgentStates() returns at most. */
export const DESCRIBED_PAGE = 100;

/** Lists agents after an id, oldest first, at most DESCRIBED_PAGE. */
export function listAgentStates(db: Pick<Db, 'all'>, after: string): Promise<AgentStateRow[]> {
  // The limit is part of the text: for a parameter, a planner expects many rows and reads whole tables.
  return db.all(`${DESCRIBED} WHERE a.id > ? ORDER BY a.id LIMIT ${DESCRIBED_PAGE}`, [after]);
}

export function findDescribedAgent(db: Pick<Tx, 'get'>, id: string): Promise<AgentStateRow | undefined> {
  return db.get(`${DESCRIBED} WHERE a.id = ?`, [id]);
}

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
/** The human behind an account, which is to be named: the owner of the agents in it. */
export const OWNER_OF_ACCOUNT = `(SELECT CASE o.kind WHEN 'human' THEN o.id ELSE o.parent_id END FROM accounts o WHERE o.id`;
/** The columns of AgentRow. */
export const AGENT_COLUMNS = `id, account_id AS "accountId", merged_from AS "mergedFrom", registration_id AS "registrationId",
  name, created_at AS "createdAt", revoked_at AS "revokedAt", owned_at AS "ownedAt",
  scope, seen_at AS "seenAt", seen_from AS "seenFrom"`;
