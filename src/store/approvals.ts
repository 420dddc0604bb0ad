import type { Tx } from './engine/db.ts';

/** A question to a human about an agent under a host. */
export interface ApprovalRow {
  id: string;
  agentId: string;
  method: 'device_authorization' | 'ciba';
  /** Whom the mail went to. */
  mailbox: string | null;
  codeMac: string;
  reason: string | null;
  bindingMessage: string | null;
  origin: string;
  createdAt: number;
  expiresAt: number;
  decidedAt: number | null;
}

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

/** The open question of a code. */
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

/** Decides a question, once, while it is open. */
export function updateApprovalDecided(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE approvals SET decided_at = ? WHERE id = ? AND decided_at IS NULL AND expires_at > ?',
    [now, id, now],
  );
}

/** Ends the open questions of an agent. */
export function updateApprovalsOfAgentDecided(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run('UPDATE approvals SET decided_at = ? WHERE agent_id = ? AND decided_at IS NULL', [
    now,
    agentId,
  ]);
}

const COLUMNS = `id, agent_id AS "agentId", method, mailbox, code_mac AS "codeMac", reason,
  binding_message AS "bindingMessage", origin, created_at AS "createdAt", expires_at AS "expiresAt",
  decided_at AS "decidedAt"`;
