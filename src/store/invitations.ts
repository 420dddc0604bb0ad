import type { Tx } from './engine/db.ts';
import type { Role } from './members.ts';

/** Invitations to a shared workspace. Status is computed: one is open while nobody accepted or ended it before it expires. */

export interface InvitationRow {
  id: string;
  workspaceId: string;
  /** Canonical; empty once its account was deleted. */
  mailbox: string;
  role: Role;
  /** The account of the inviter. */
  invitedBy: string;
  createdAt: number;
  expiresAt: number;
  acceptedAt: number | null;
  endedAt: number | null;
  endReason: InvitationEnd | null;
}

export type InvitationEnd =
  | 'superseded'
  | 'withdrawn'
  | 'declined'
  | 'void'
  | 'account_deleted'
  | 'workspace_deleted';

export async function insertInvitation(
  tx: Tx,
  invitation: Omit<InvitationRow, 'acceptedAt' | 'endedAt' | 'endReason'>,
): Promise<void> {
  await tx.run(
    `INSERT INTO invitations (id, workspace_id, mailbox, role, invited_by, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    [
      invitation.id,
      invitation.workspaceId,
      invitation.mailbox,
      invitation.role,
      invitation.invitedBy,
      invitation.createdAt,
      invitation.expiresAt,
    ],
  );
}

export function findInvitation(db: Pick<Tx, 'get'>, id: string): Promise<InvitationRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM invitations WHERE id = ?`, [id]);
}

/** Lists the open invitations of a workspace, newest first. */
export function listOpenInvitations(
  db: Pick<Tx, 'all'>,
  workspaceId: string,
  now: number,
): Promise<InvitationRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM invitations
     WHERE workspace_id = ? AND accepted_at IS NULL AND ended_at IS NULL AND expires_at > ? ORDER BY id DESC`,
    [workspaceId, now],
  );
}

/** Counts the invitations that an account sent, up to a limit. */
export async function countInvitationsFrom(
  db: Pick<Tx, 'get'>,
  accountId: string,
  limit: number,
): Promise<number> {
  const row = await db.get<{ count: number }>(
    'SELECT COUNT(*) AS count FROM (SELECT id FROM invitations WHERE invited_by = ? LIMIT ?) sent',
    [accountId, limit],
  );
  return row!.count;
}

/** Lists the invitations that an account sent, oldest first. */
export function listInvitationsFrom(
  db: Pick<Tx, 'all'>,
  accountId: string,
  limit: number,
): Promise<InvitationRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM invitations WHERE invited_by = ? ORDER BY id LIMIT ?`, [
    accountId,
    limit,
  ]);
}

/** Lists the invitations that a mailbox received, oldest first. @param mailbox canonical */
export function listInvitationsTo(
  db: Pick<Tx, 'all'>,
  mailbox: string,
  limit: number,
): Promise<InvitationRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM invitations WHERE mailbox = ? ORDER BY id LIMIT ?`, [mailbox, limit]);
}

/** Accepts an open invitation; of concurrent calls, one returns 1. */
export function updateInvitationAccepted(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE invitations SET accepted_at = ? WHERE id = ? AND accepted_at IS NULL AND ended_at IS NULL AND expires_at > ?',
    [now, id, now],
  );
}

/** Ends an invitation that nobody accepted; of concurrent calls, one returns 1. */
export function updateInvitationEnded(
  tx: Tx,
  id: string,
  now: number,
  reason: InvitationEnd,
): Promise<number> {
  return tx.run(
    'UPDATE invitations SET ended_at = ?, end_reason = ? WHERE id = ? AND accepted_at IS NULL AND ended_at IS NULL',
    [now, reason, id],
  );
}

/** Ends the invitation of a workspace to a mailbox, expired or not, so that another can take its place. */
export function updateInvitationOfMailboxEnded(
  tx: Tx,
  workspaceId: string,
  mailbox: string,
  now: number,
  reason: InvitationEnd,
): Promise<number> {
  return tx.run(
    `UPDATE invitations SET ended_at = ?, end_reason = ?
     WHERE workspace_id = ? AND mailbox = ? AND accepted_at IS NULL AND ended_at IS NULL`,
    [now, reason, workspaceId, mailbox],
  );
}

/** Erases the mailbox of an account that is deleted from its invitations, and ends those that are open. @param mailbox canonical */
export function updateInvitationsToErased(tx: Tx, mailbox: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE invitations SET mailbox = '', ended_at = COALESCE(ended_at, ?), end_reason = COALESCE(end_reason, 'account_deleted')
     WHERE mailbox = ?`,
    [now, mailbox],
  );
}

/** Ends all invitations of a workspace that ends. */
export function updateInvitationsOfWorkspaceEnded(tx: Tx, workspaceId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE invitations SET ended_at = ?, end_reason = 'workspace_deleted'
     WHERE workspace_id = ? AND accepted_at IS NULL AND ended_at IS NULL`,
    [now, workspaceId],
  );
}

/** Deletes up to `limit` invitations that expired before a time; returns how many. */
export function deleteOldInvitations(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    'DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE expires_at < ? ORDER BY expires_at LIMIT ?)',
    [before, limit],
  );
}

const COLUMNS = `id, workspace_id AS "workspaceId", mailbox, role, invited_by AS "invitedBy", created_at AS "createdAt",
  expires_at AS "expiresAt", accepted_at AS "acceptedAt", ended_at AS "endedAt", end_reason AS "endReason"`;
