import type { Tx } from './engine/db.ts';

/**
 * Mailboxes stand here as limits count them: without `+tag`. A sender (`registration_id`) is a registration, a host, or whoever bears a
 * name in a network.
 */

/** Notes that a mailbox wants no mail of one sender, or with an empty `sender` of any. */
export async function insertRefusal(
  tx: Tx,
  refusal: { mailbox: string; sender: string; now: number; endsAt: number | null },
): Promise<void> {
  await tx.run(
    `INSERT INTO mail_refusals (mailbox, registration_id, created_at, ends_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (mailbox, registration_id) DO UPDATE SET created_at = excluded.created_at, ends_at = excluded.ends_at`,
    [refusal.mailbox, refusal.sender, refusal.now, refusal.endsAt],
  );
}

/** Whether a mailbox wants no mail at a moment of somebody who is known by two names. */
export async function isRefused(
  db: Pick<Tx, 'get'>,
  mailbox: string,
  [one, other]: readonly [string, string],
  now: number,
): Promise<boolean> {
  const row = await db.get<{ mailbox: string }>(
    `SELECT mailbox FROM mail_refusals
     WHERE mailbox = ? AND registration_id IN ('', ?, ?) AND (ends_at IS NULL OR ends_at > ?) LIMIT 1`,
    [mailbox, one, other, now],
  );
  return row !== undefined;
}

/** Whether a mailbox wants no claim mail at all. */
export async function refusesAll(db: Pick<Tx, 'get'>, mailbox: string): Promise<boolean> {
  const row = await db.get<{ mailbox: string }>(
    `SELECT mailbox FROM mail_refusals WHERE mailbox = ? AND registration_id = ''`,
    [mailbox],
  );
  return row !== undefined;
}

/** Takes back that a mailbox wants no claim mail at all; returns whether it did not. */
export async function deleteRefusalOfAll(tx: Tx, mailbox: string): Promise<boolean> {
  return (
    (await tx.run(`DELETE FROM mail_refusals WHERE mailbox = ? AND registration_id = ''`, [mailbox])) === 1
  );
}
