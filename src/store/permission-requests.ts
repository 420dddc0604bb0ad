import type { Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** What agents and terminals ask people for, as they signed it. */
export interface PermissionRequestRow {
  /** A digest of what is asked. */
  id: string;
  thumbprint: string;
  /** See SessionKeyRow; of an agent under a host its id. */
  family: string;
  generation: number;
  agentId: string | null;
  /** The human whose terminal asks; null: an agent does, or a terminal that wants to act for somebody. */
  accountId: string | null;
  /** JSON, as it was signed. */
  artifact: string;
  /** 1: a terminal wants to act for a human. */
  login: number;
  /** 1: it is for one action. */
  once: number;
  /** A MAC to find the request by its code; the code itself is derived, not stored. */
  codeMac: string;
  secretId: string;
  codeNumber: number;
  origin: string;
  createdAt: number;
  /** Until when it can be decided; once it was, until when its answer is told. */
  expiresAt: number;
  polledAt: number | null;
  decidedAt: number | null;
  /** The account that decided. */
  decidedBy: string | null;
  grantId: string | null;
  /** JSON, as we signed it; null: it was not denied. */
  denial: string | null;
}

/** Inserts an open request; returns whether it did: of the same requests at once, one is. */
export async function insertPermissionRequest(
  tx: Tx,
  request: Omit<PermissionRequestRow, 'polledAt' | 'decidedAt' | 'decidedBy' | 'grantId' | 'denial'>,
): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO permission_requests (id, thumbprint, family, generation, agent_id, account_id, artifact, login, once, code_mac,
       secret_id, code_number, origin, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    [
      request.id,
      request.thumbprint,
      request.family,
      request.generation,
      request.agentId,
      request.accountId,
      request.artifact,
      request.login,
      request.once,
      request.codeMac,
      request.secretId,
      request.codeNumber,
      request.origin,
      request.createdAt,
      request.expiresAt,
    ],
  );
  return inserted === 1;
}

export function findPermissionRequest(
  db: Pick<Tx, 'get'>,
  id: string,
): Promise<PermissionRequestRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM permission_requests WHERE id = ?`, [id]);
}

/** Finds the oldest open request with a code. */
export function findPermissionRequestByCode(
  db: Pick<Tx, 'get'>,
  codeMac: string,
  now: number,
): Promise<PermissionRequestRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM permission_requests WHERE code_mac = ? AND decided_at IS NULL AND expires_at > ?
     ORDER BY created_at, id LIMIT 1`,
    [codeMac, now],
  );
}

/** Finds a request by which a key wants to become that of a terminal, the newest. */
export function findLoginRequestOfKey(
  db: Pick<Tx, 'get'>,
  thumbprint: string,
): Promise<PermissionRequestRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM permission_requests WHERE thumbprint = ? AND login = 1 ORDER BY created_at DESC LIMIT 1`,
    [thumbprint],
  );
}

/** Counts the open requests of an agent, or of a key that is nobody's yet. */
export async function countOpenRequests(
  db: Pick<Tx, 'get'>,
  asker: { agentId: string } | { thumbprint: string },
  now: number,
): Promise<number> {
  const [condition, id] =
    'agentId' in asker
      ? ['agent_id = ? AND agent_id IS NOT NULL', asker.agentId]
      : ['thumbprint = ?', asker.thumbprint];
  const row = await db.get<{ open: number }>(
    `SELECT COUNT(*) AS open FROM permission_requests WHERE ${condition} AND decided_at IS NULL AND expires_at > ?`,
    [id, now],
  );
  return row!.open;
}

/** Lists the open requests of agents, newest first. @param limit a constant of the program */
export function listOpenRequestsOfAgents(
  db: Pick<Tx, 'all'>,
  agentIds: readonly string[],
  now: number,
): Promise<PermissionRequestRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM permission_requests WHERE agent_id IN (${PAGE_MARKS}) AND agent_id IS NOT NULL
       AND decided_at IS NULL AND expires_at > ? ORDER BY created_at DESC, id LIMIT 100`,
    [...pageIds(agentIds), now],
  );
}

/** Lists the newest open requests of the agents of a human, and of their own terminals. */
export function listOpenRequestsOfOwner(
  db: Pick<Tx, 'all'>,
  ownerId: string,
  now: number,
): Promise<PermissionRequestRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM permission_requests WHERE decided_at IS NULL AND expires_at > ? AND agent_id IN
       (SELECT id FROM agents WHERE owner_id = ? AND owner_since = owned_at AND revoked_at IS NULL) AND agent_id IS NOT NULL
     ORDER BY created_at DESC, id LIMIT 100`,
    [now, ownerId],
  );
}

/** Decides an open request; of concurrent calls, one returns 1 and the others 0. */
export function updateRequestDecided(
  tx: Tx,
  id: string,
  now: number,
  decision: { accountId: string; grantId: string | null; denial: string | null; keepUntil: number },
): Promise<number> {
  return tx.run(
    `UPDATE permission_requests SET decided_at = ?, decided_by = ?, grant_id = ?, denial = ?,
       expires_at = CASE WHEN expires_at < ? THEN CAST(? AS BIGINT) ELSE expires_at END
     WHERE id = ? AND decided_at IS NULL AND expires_at > ?`,
    [
      now,
      decision.accountId,
      decision.grantId,
      decision.denial,
      decision.keepUntil,
      decision.keepUntil,
      id,
      now,
    ],
  );
}

/** Closes the open requests of an agent that ends, without an answer. */
export function updateRequestsOfAgentClosed(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE permission_requests SET decided_at = ?, expires_at = ?
     WHERE agent_id = ? AND agent_id IS NOT NULL AND decided_at IS NULL`,
    [now, now, agentId],
  );
}

/** Records that its asker looked at an open request; returns 0 if it did within the pause before. */
export function updateRequestPolled(tx: Tx, id: string, now: number, pauseMs: number): Promise<number> {
  return tx.run(
    'UPDATE permission_requests SET polled_at = ? WHERE id = ? AND (polled_at IS NULL OR polled_at <= ?)',
    [now, id, now - pauseMs],
  );
}

/** Gives an open request another code. */
export function updateRequestCode(
  tx: Tx,
  id: string,
  code: Pick<PermissionRequestRow, 'codeMac' | 'secretId' | 'codeNumber'>,
): Promise<number> {
  return tx.run(
    'UPDATE permission_requests SET code_mac = ?, secret_id = ?, code_number = ? WHERE id = ? AND decided_at IS NULL',
    [code.codeMac, code.secretId, code.codeNumber, id],
  );
}

const COLUMNS = `id, thumbprint, family, generation, agent_id AS "agentId", account_id AS "accountId", artifact, login, once,
  code_mac AS "codeMac", secret_id AS "secretId", code_number AS "codeNumber", origin, created_at AS "createdAt",
  expires_at AS "expiresAt", polled_at AS "polledAt", decided_at AS "decidedAt", decided_by AS "decidedBy",
  grant_id AS "grantId", denial`;
