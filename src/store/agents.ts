import type { Db, Tx } from './db.ts';

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
export function mergeAgent(tx: Tx, id: string, from: string, to: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = account_id, owned_at = ?
     WHERE id = ? AND account_id = ? AND revoked_at IS NULL`,
    [to, now, id, from],
  );
}

/** Notes that an agent, which stays in its account, has an owner now. */
export function markOwned(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE agents SET owned_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/** Lets an agent go on without owner, in an account of its own; only if it still is where it was. */
export function releaseAgent(tx: Tx, id: string, from: string, to: string): Promise<number> {
  return tx.run(
    `UPDATE agents SET account_id = ?, merged_from = NULL, owned_at = NULL
     WHERE id = ? AND account_id = ? AND owned_at IS NOT NULL AND revoked_at IS NULL`,
    [to, id, from],
  );
}

/** Notes what an agent's owner leaves it: nothing that it gets later is wider. Null: nothing is taken from it. */
export function narrowAgent(tx: Tx, id: string, scope: string | null): Promise<number> {
  return tx.run('UPDATE agents SET scope = ? WHERE id = ?', [scope, id]);
}

export function renameAgent(tx: Tx, id: string, name: string): Promise<number> {
  return tx.run('UPDATE agents SET name = ? WHERE id = ?', [name, id]);
}

/**
 * Makes whatever else changes this agent's keys wait until the transaction ends: who reads them now and writes next would
 * otherwise miss the one that is being made. Says whether the agent is there and not revoked.
 */
export async function holdAgent(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run('UPDATE agents SET name = name WHERE id = ? AND revoked_at IS NULL', [id])) === 1;
}

/** The same as holdAgent, for an agent that gets a token, which counts as a use. */
export async function holdSeenAgent(tx: Tx, id: string, now: number, from: string): Promise<boolean> {
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

/** One of them. */
export function findOwnedAgent(
  db: Pick<Tx, 'get'>,
  ownerId: string,
  id: string,
): Promise<AgentRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM agents WHERE id = ? AND ${OWNED}`, [id, ownerId, ownerId]);
}

export function revokeAgent(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE agents SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/** Agents after an id, oldest first. */
export function listAgents(db: Pick<Db, 'all'>, after: string, limit: number): Promise<AgentRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM agents WHERE id > ? ORDER BY id LIMIT ?`, [after, limit]);
}

const OWNED = `owned_at IS NOT NULL AND account_id IN (SELECT ? UNION ALL SELECT id FROM accounts WHERE parent_id = ?)`;
const COLUMNS = `id, account_id AS "accountId", merged_from AS "mergedFrom", registration_id AS "registrationId",
  name, created_at AS "createdAt", revoked_at AS "revokedAt", owned_at AS "ownedAt",
  scope, seen_at AS "seenAt", seen_from AS "seenFrom"`;
