import type { Db, Tx } from './engine/db.ts';

export interface OutboxRow {
  id: string;
  kind: 'claim_code' | 'sign_in_code' | 'notice' | 'approval';
  /** The claim attempt or sign-in whose code it carries; of a notice the account. */
  attemptId: string | null;
  mailbox: string;
  createdAt: number;
  nextAt: number;
  tries: number;
  giveUpAt: number;
  sentAt: number | null;
  deadAt: number | null;
  error: string | null;
}

export async function insertMail(
  tx: Tx,
  mail: Pick<OutboxRow, 'id' | 'kind' | 'attemptId' | 'mailbox' | 'createdAt' | 'giveUpAt'> &
    Partial<Pick<OutboxRow, 'nextAt'>>,
): Promise<void> {
  const { id, kind, attemptId, mailbox, createdAt, nextAt = createdAt, giveUpAt } = mail;
  await tx.run(
    `INSERT INTO outbox (id, kind, attempt_id, mailbox, created_at, next_at, give_up_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
    [id, kind, attemptId, mailbox, createdAt, nextAt, giveUpAt],
  );
}

/**
 * The notice to an account that waits and that no worker has taken yet. Workers are kept from it until the transaction ends, so
 * what this transaction puts into it will be in the mail.
 */
export async function lockWaitingNotice(tx: Tx, accountId: string): Promise<string | undefined> {
  const row = await tx.get<{ id: string }>(
    `UPDATE outbox SET tries = tries
     WHERE attempt_id = ? AND kind = 'notice' AND tries = 0 AND sent_at IS NULL AND dead_at IS NULL RETURNING id`,
    [accountId],
  );
  return row?.id;
}

/** Puts an event into a notice. */
export async function insertNotice(tx: Tx, mailId: string, eventId: string): Promise<void> {
  await tx.run('INSERT INTO notices (mail_id, event_id) VALUES (?, ?)', [mailId, eventId]);
}

/** When the newest notice to an account left, or will (epoch ms). */
export async function findLastNoticeTime(tx: Tx, accountId: string): Promise<number | undefined> {
  const row = await tx.get<{ at: number | null }>(
    `SELECT MAX(COALESCE(sent_at, next_at)) AS at FROM outbox WHERE attempt_id = ? AND kind = 'notice'`,
    [accountId],
  );
  return row?.at ?? undefined;
}

/** The ids of mails that are due, oldest first. Being listed gives no right to send: see updateMailLeased. */
export function listDue(db: Pick<Db, 'all'>, now: number, limit: number): Promise<{ id: string }[]> {
  return db.all(
    `SELECT id FROM outbox WHERE sent_at IS NULL AND dead_at IS NULL AND next_at <= ? ORDER BY next_at LIMIT ?`,
    [now, limit],
  );
}

/**
 * Takes a due mail for one worker until `leaseUntil`; of all workers that saw it due, one wins. A worker that dies
 * loses it to the next when the lease is over.
 */
export function updateMailLeased(
  tx: Tx,
  id: string,
  now: number,
  leaseUntil: number,
): Promise<OutboxRow | undefined> {
  return tx.get(
    `UPDATE outbox SET next_at = ?, tries = tries + 1
     WHERE id = ? AND sent_at IS NULL AND dead_at IS NULL AND next_at <= ? RETURNING ${COLUMNS}`,
    [leaseUntil, id, now],
  );
}

/** These three end a lease; `tries` names it, so that a worker that was too late changes nothing. */
export function updateMailSent(tx: Tx, mail: OutboxRow, now: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET sent_at = ?, error = NULL WHERE id = ? AND tries = ? AND sent_at IS NULL`,
    [now, mail.id, mail.tries],
  );
}

export function updateMailDelayed(
  tx: Tx,
  mail: OutboxRow,
  nextAt: number,
  error: string | null,
): Promise<number> {
  return tx.run(
    `UPDATE outbox SET next_at = ?, error = ? WHERE id = ? AND tries = ? AND sent_at IS NULL AND dead_at IS NULL`,
    [nextAt, error, mail.id, mail.tries],
  );
}

export function updateMailDead(tx: Tx, mail: OutboxRow, error: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET dead_at = ?, error = ? WHERE id = ? AND tries = ? AND sent_at IS NULL AND dead_at IS NULL`,
    [now, error, mail.id, mail.tries],
  );
}

/** Drops the mails of an attempt that have not left: they would carry a dead code. */
export function updateUnsentMailDead(tx: Tx, attemptId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET dead_at = ?, error = 'superseded' WHERE attempt_id = ? AND sent_at IS NULL AND dead_at IS NULL`,
    [now, attemptId],
  );
}

/** How many mails wait, and since when the oldest does (epoch ms). */
export async function countWaitingMail(
  db: Pick<Db, 'get'>,
): Promise<{ waiting: number; oldest: number | null }> {
  const row = await db.get<{ waiting: number; oldest: number | null }>(
    `SELECT COUNT(*) AS waiting, MIN(created_at) AS oldest FROM outbox WHERE sent_at IS NULL AND dead_at IS NULL`,
  );
  return row!;
}

const COLUMNS = `id, kind, attempt_id AS "attemptId", mailbox, created_at AS "createdAt", next_at AS "nextAt", tries,
  give_up_at AS "giveUpAt", sent_at AS "sentAt", dead_at AS "deadAt", error`;
