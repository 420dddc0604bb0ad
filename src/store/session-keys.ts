import type { Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** Keys with which an agent, or a human's terminal, signs permission requests and what follows from them. */
export interface SessionKeyRow {
  /** Of the public key (RFC 7638). */
  thumbprint: string;
  publicJwk: string;
  /** The first of the keys that followed each other. */
  family: string;
  /** How many keys of the family were before it. */
  generation: number;
  agentId: string | null;
  /** The human whose terminal it is; null: it is an agent's. */
  accountId: string | null;
  /** As it called itself; unverified. */
  name: string | null;
  /** Of a terminal: what it may grant, as JSON. */
  bound: string | null;
  /** Of an agent: the id of the key that named it; null: it registered its agent. */
  boundBy: string | null;
  /** When the owner let it outlive the key that named it; null: they did not. */
  confirmedAt: number | null;
  /** The coarse network that it came from. */
  origin: string;
  createdAt: number;
  expiresAt: number | null;
  /** Until when it works beside its successor; null: it has none. */
  retiresAt: number | null;
  successor: string | null;
  endedAt: number | null;
  seenAt: number | null;
  seenFrom: string | null;
  /** 1: the key that named it works, or there is none. */
  isBoundLive: number;
}

/** Inserts a session key; returns whether it did: no thumbprint is there twice. */
export async function insertSessionKey(
  tx: Tx,
  key: Omit<
    SessionKeyRow,
    'retiresAt' | 'successor' | 'endedAt' | 'seenAt' | 'seenFrom' | 'confirmedAt' | 'isBoundLive'
  > & { confirmedAt?: number | null },
): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO session_keys (thumbprint, public_jwk, family, generation, agent_id, account_id, name, bound, bound_by,
       confirmed_at, origin, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    [
      key.thumbprint,
      key.publicJwk,
      key.family,
      key.generation,
      key.agentId,
      key.accountId,
      key.name,
      key.bound,
      key.boundBy,
      key.confirmedAt ?? null,
      key.origin,
      key.createdAt,
      key.expiresAt,
    ],
  );
  return inserted === 1;
}

/** @param now epoch ms */
export function findSessionKey(
  db: Pick<Tx, 'get'>,
  thumbprint: string,
  now: number,
): Promise<SessionKeyRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM session_keys k WHERE k.thumbprint = ?`, [now, thumbprint]);
}

/** Lists the session keys of agents that have not ended, by agent. */
export function listSessionKeysOfAgents(
  db: Pick<Tx, 'all'>,
  agentIds: readonly string[],
  now: number,
): Promise<SessionKeyRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM session_keys k WHERE k.agent_id IN (${PAGE_MARKS}) AND k.agent_id IS NOT NULL
       AND k.ended_at IS NULL ORDER BY k.created_at, k.thumbprint`,
    [now, ...pageIds(agentIds)],
  );
}

/** Lists the terminals of a human that have not ended. */
export function listTerminals(db: Pick<Tx, 'all'>, accountId: string, now: number): Promise<SessionKeyRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM session_keys k WHERE k.account_id = ? AND k.account_id IS NOT NULL
       AND k.ended_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?) ORDER BY k.created_at, k.thumbprint`,
    [now, accountId, now],
  );
}

/** Lists all terminals that a human has or had, those of ended keys included. */
export function listTerminalHistory(
  db: Pick<Tx, 'all'>,
  accountId: string,
  now: number,
): Promise<SessionKeyRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM session_keys k WHERE k.account_id = ? AND k.account_id IS NOT NULL
     ORDER BY k.created_at, k.thumbprint`,
    [now, accountId],
  );
}

/** Lets another key follow; only for a key that has not ended and that none follows. */
export function updateSessionKeySucceeded(
  tx: Tx,
  thumbprint: string,
  { successor, retiresAt }: { successor: string; retiresAt: number },
): Promise<number> {
  return tx.run(
    `UPDATE session_keys SET successor = ?, retires_at = ?
     WHERE thumbprint = ? AND successor IS NULL AND ended_at IS NULL`,
    [successor, retiresAt, thumbprint],
  );
}

/** Ends the key that another one follows. @returns its thumbprint; undefined: it had ended before, or there is none */
export function updatePredecessorEnded(
  tx: Tx,
  successor: string,
  family: string,
  generation: number,
  now: number,
): Promise<{ thumbprint: string } | undefined> {
  return tx.get(
    `UPDATE session_keys SET ended_at = ? WHERE ended_at IS NULL AND successor = ? AND thumbprint IN
       (SELECT thumbprint FROM session_keys WHERE family = ? AND generation = ?) RETURNING thumbprint`,
    [now, successor, family, generation - 1],
  );
}

/** Ends a session key, with those of its family; returns how many. */
export function updateFamilyEnded(tx: Tx, family: string, now: number): Promise<number> {
  return tx.run('UPDATE session_keys SET ended_at = ? WHERE family = ? AND ended_at IS NULL', [now, family]);
}

/** Ends the session keys of an agent. */
export function updateSessionKeysOfAgentEnded(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE session_keys SET ended_at = ? WHERE agent_id = ? AND agent_id IS NOT NULL AND ended_at IS NULL',
    [now, agentId],
  );
}

/** Ends the terminals of a human. */
export function updateTerminalsEnded(tx: Tx, accountId: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE session_keys SET ended_at = ? WHERE account_id = ? AND account_id IS NOT NULL AND ended_at IS NULL',
    [now, accountId],
  );
}

/** Lets the session keys of a family outlive the key that named the first of them. */
export function updateFamilyConfirmed(tx: Tx, family: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE session_keys SET confirmed_at = ? WHERE family = ? AND confirmed_at IS NULL AND ended_at IS NULL',
    [now, family],
  );
}

/** Records when and where a session key signed, to the minute: a call within a minute of the last one changes nothing. */
export function updateSessionKeySeen(tx: Tx, thumbprint: string, now: number, from: string): Promise<number> {
  return tx.run(
    'UPDATE session_keys SET seen_at = ?, seen_from = ? WHERE thumbprint = ? AND (seen_at IS NULL OR seen_at < ?)',
    [now, from, thumbprint, now - 60_000],
  );
}

const COLUMNS = `k.thumbprint, k.public_jwk AS "publicJwk", k.family, k.generation, k.agent_id AS "agentId",
  k.account_id AS "accountId", k.name, k.bound, k.bound_by AS "boundBy", k.confirmed_at AS "confirmedAt", k.origin,
  k.created_at AS "createdAt", k.expires_at AS "expiresAt", k.retires_at AS "retiresAt", k.successor,
  k.ended_at AS "endedAt", k.seen_at AS "seenAt", k.seen_from AS "seenFrom",
  CASE WHEN k.bound_by IS NULL THEN 1 ELSE COALESCE((SELECT CASE WHEN c.revoked_at IS NULL
    AND (c.expires_at IS NULL OR c.expires_at > ?) THEN 1 ELSE 0 END FROM credentials c WHERE c.id = k.bound_by), 0) END
    AS "isBoundLive"`;
