import type { Tx } from './engine/db.ts';

/** A connection request: an agent under a host asks a human for approval. */
export interface ApprovalRow {
  id: string;
  agentId: string;
  method: 'device_authorization' | 'ciba';
  /** The recipient of the mail; null: no mail was sent. */
  mailbox: string | null;
  /** A MAC to find the request by its code; the code itself is derived, not stored. */
  codeMac: string;
  /** As the agent wrote it: unverified, like `bindingMessage`. */
  reason: string | null;
  bindingMessage: string | null;
  origin: string;
  createdAt: number;
  expiresAt: number;
  decidedAt: number | null;
}

/** Inserts an open connection request. */
export async function insertApproval(tx: Tx, approval: Omit<ApprovalRow, 'decidedAt'>): Promise<void> {
  await tx.run(
    `INSERT INTO approvals
       (id, agent_id, method, mailbox, code_mac, reason, binding_message, origin, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      approval.id,
      approval.agentId,
      approval.method,
      approval.mailbox,
      approval.codeMac,
      approval.reason,
      approval.bindingMessage,
      approval.origin,
      approval.createdAt,
      approval.expiresAt,
    ],
  );
}

export function findApproval(db: Pick<Tx, 'get'>, id: string): Promise<ApprovalRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM approvals WHERE id = ?`, [id]);
}

/** Finds the newest open connection request with a code. */
export function findApprovalByCode(
  db: Pick<Tx, 'get'>,
  codeMac: string,
  now: number,
): Promise<ApprovalRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM approvals WHERE code_mac = ? AND decided_at IS NULL AND expires_at > ?
     ORDER BY id DESC LIMIT 1`,
    [codeMac, now],
  );
}

/** Finds the newest open connection request of an agent. */
export function findOpenApproval(
  db: Pick<Tx, 'get'>,
  agentId: string,
  now: number,
): Promise<ApprovalRow | undefined> {
  return db.get(
    `SELECT ${COLUMNS} FROM approvals WHERE agent_id = ? AND decided_at IS NULL AND expires_at > ?
     ORDER BY id DESC LIMIT 1`,
    [agentId, now],
  );
}

/** Lists the newest open connection requests of the agents of a human that act for them already. */
export function listOpenApprovalsOfOwner(
  db: Pick<Tx, 'all'>,
  ownerId: string,
  now: number,
): Promise<(ApprovalRow & { agentName: string })[]> {
  return db.all(
    `SELECT ${COLUMNS}, (SELECT name FROM hosted_agents h WHERE h.id = approvals.agent_id) AS "agentName" FROM approvals
     WHERE decided_at IS NULL AND expires_at > ? AND agent_id IN
       (SELECT id FROM agents WHERE owner_id = ? AND owner_since = owned_at AND revoked_at IS NULL)
     ORDER BY id DESC LIMIT 20`,
    [now, ownerId],
  );
}

/** Marks an open connection request as decided; of concurrent calls, one returns 1 and the others 0. */
export function updateApprovalDecided(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE approvals SET decided_at = ? WHERE id = ? AND decided_at IS NULL AND expires_at > ?',
    [now, id, now],
  );
}

/** Marks all open connection requests of an agent as decided. */
export function updateApprovalsOfAgentDecided(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run('UPDATE approvals SET decided_at = ? WHERE agent_id = ? AND decided_at IS NULL', [
    now,
    agentId,
  ]);
}

const COLUMNS = `id, agent_id AS "agentId", method, mailbox, code_mac AS "codeMac", reason,
  binding_message AS "bindingMessage", origin, created_at AS "createdAt", expires_at AS "expiresAt",
  decided_at AS "decidedAt"`;
