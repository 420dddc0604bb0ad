import type { Db, Tx } from './engine/db.ts';

/**
 * Mail suppressions. Mailboxes are stored as limits count them: without `+tag`. A sender (`registration_id`) is a
 * registration, a host, the combination of an agent's name and its network, or a workspace that invites.
 */

/** Suppresses the mail of a sender to a mailbox; an empty `sender` stands for all. `endsAt`: epoch ms; null: never. */
export async function upsertSuppression(
  tx: Tx,
  refusal: { mailbox: string; sender: string; now: number; endsAt: number | null },
): Promise<void> {
  await tx.run(
    `INSERT INTO mail_refusals (mailbox, registration_id, created_at, ends_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (mailbox, registration_id) DO UPDATE SET created_at = excluded.created_at, ends_at = excluded.ends_at`,
    [refusal.mailbox, refusal.sender, refusal.now, refusal.endsAt],
  );
}

/** Whether mail to a mailbox is suppressed at `now`, for all senders or for one that is known by two keys. */
export async function isSuppressed(
  db: Pick<Tx, 'get'>,
  mailbox: string,
  [senderKey, nameKey]: readonly [string, string],
  now: number,
): Promise<boolean> {
  const row = await db.get<{ mailbox: string }>(
    `SELECT mailbox FROM mail_refusals
     WHERE mailbox = ? AND registration_id IN ('', ?, ?) AND (ends_at IS NULL OR ends_at > ?) LIMIT 1`,
    [mailbox, senderKey, nameKey, now],
  );
  return row !== undefined;
}

/** Whether the mail of all senders to a mailbox is suppressed. */
export async function isSuppressedForAllSenders(db: Pick<Tx, 'get'>, mailbox: string): Promise<boolean> {
  const row = await db.get<{ mailbox: string }>(
    `SELECT mailbox FROM mail_refusals WHERE mailbox = ? AND registration_id = ''`,
    [mailbox],
  );
  return row !== undefined;
}

/** The sender that stands for the invitations of all workspaces. An invitation of one has the id of the workspace. */
export const ALL_INVITATIONS = 'invitations';

/** Whether a mailbox gets no invitation of a workspace. */
export async function isInvitationSuppressed(
  db: Pick<Tx, 'get'>,
  mailbox: string,
  workspaceId: string,
): Promise<boolean> {
  const row = await db.get<{ mailbox: string }>(
    `SELECT mailbox FROM mail_refusals WHERE mailbox = ? AND registration_id IN ('${ALL_INVITATIONS}', ?) LIMIT 1`,
    [mailbox, workspaceId],
  );
  return row !== undefined;
}

/** Lets a mailbox get invitations again, of all workspaces. */
export function deleteSuppressionsOfInvitations(tx: Tx, mailbox: string): Promise<number> {
  return tx.run(
    `DELETE FROM mail_refusals WHERE mailbox = ?
       AND (registration_id = '${ALL_INVITATIONS}' OR registration_id LIKE 'wsp!_%' ESCAPE '!')`,
    [mailbox],
  );
}

/** Deletes the suppression of all senders for a mailbox; returns whether there was one. */
export async function deleteSuppressionOfAllSenders(tx: Tx, mailbox: string): Promise<boolean> {
  return (
    (await tx.run(`DELETE FROM mail_refusals WHERE mailbox = ? AND registration_id = ''`, [mailbox])) === 1
  );
}

/** A mail suppression. */
export interface SuppressionRow {
  mailbox: string;
  /** Empty: all senders. */
  sender: string;
  createdAt: number;
  endsAt: number | null;
}

/** Lists the suppressions of all senders up to a time (inclusive, epoch ms), the newest first. */
export function listSuppressionsOfAllSenders(
  db: Pick<Db, 'all'>,
  until: number,
  limit: number,
): Promise<SuppressionRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM mail_refusals WHERE registration_id = '' AND created_at <= ?
     ORDER BY created_at DESC, mailbox DESC LIMIT ?`,
    [until, limit],
  );
}

/** Lists the suppressions of a mailbox that hold at `now`. */
export function listSuppressionsOf(
  db: Pick<Db, 'all'>,
  mailbox: string,
  now: number,
): Promise<SuppressionRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM mail_refusals WHERE mailbox = ? AND (ends_at IS NULL OR ends_at > ?) ORDER BY registration_id`,
    [mailbox, now],
  );
}

/** Deletes all suppressions of a mailbox; returns how many. */
export function deleteSuppressionsOf(tx: Tx, mailbox: string): Promise<number> {
  return tx.run('DELETE FROM mail_refusals WHERE mailbox = ?', [mailbox]);
}

const COLUMNS = 'mailbox, registration_id AS sender, created_at AS "createdAt", ends_at AS "endsAt"';
