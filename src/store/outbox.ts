import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** A mail of the outbox. */
export interface OutboxRow {
  id: string;
  kind: 'claim_code' | 'sign_in_code' | 'notice' | 'approval' | 'invitation';
  /** The claim attempt, sign-in, connection request or invitation that the mail is about; of a notice, the account. */
  attemptId: string | null;
  mailbox: string;
  createdAt: number;
  /** When the mail is due; while a worker sends it, when the worker's lease expires. */
  nextAt: number;
  tries: number;
  giveUpAt: number;
  sentAt: number | null;
  deadAt: number | null;
  error: string | null;
}

/** Inserts a mail; without `nextAt` it is due at once. */
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
 * Locks the queued notice to an account that no worker has leased yet. Until the transaction ends no worker can lease
 * it, so events that this transaction adds will be in the mail.
 *
 * @returns the id of the mail; undefined: no notice is queued
 */
export async function lockWaitingNotice(tx: Tx, accountId: string): Promise<string | undefined> {
  const row = await tx.get<{ id: string }>(
    `UPDATE outbox SET tries = tries
     WHERE attempt_id = ? AND kind = 'notice' AND tries = 0 AND sent_at IS NULL AND dead_at IS NULL RETURNING id`,
    [accountId],
  );
  return row?.id;
}

/** Adds an event to a notice. */
export async function insertNotice(tx: Tx, mailId: string, eventId: string): Promise<void> {
  await tx.run('INSERT INTO notices (mail_id, event_id) VALUES (?, ?)', [mailId, eventId]);
}

/** Finds when the latest notice to an account was sent or will be due, epoch ms; undefined: there is none. */
export async function findLastNoticeTime(tx: Tx, accountId: string): Promise<number | undefined> {
  const row = await tx.get<{ at: number | null }>(
    `SELECT MAX(COALESCE(sent_at, next_at)) AS at FROM outbox WHERE attempt_id = ? AND kind = 'notice'`,
    [accountId],
  );
  return row?.at ?? undefined;
}

/** Lists the ids of due mails, the longest due first. A worker may send one only after updateMailLeased(). */
export function listDueMail(db: Pick<Db, 'all'>, now: number, limit: number): Promise<{ id: string }[]> {
  return db.all(
    `SELECT id FROM outbox WHERE sent_at IS NULL AND dead_at IS NULL AND next_at <= ? ORDER BY next_at LIMIT ?`,
    [now, limit],
  );
}

/**
 * Leases a due mail to one worker until `leaseUntil` (epoch ms); of all workers that listed it, one wins. If
 * that worker dies, the mail is due again when the lease expires.
 *
 * @returns undefined where the mail is not due any more
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

/** Ends a lease: the mail was sent. `tries` identifies the lease: a worker that has lost its lease changes nothing. */
export function updateMailSent(tx: Tx, mail: OutboxRow, now: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET sent_at = ?, error = NULL WHERE id = ? AND tries = ? AND sent_at IS NULL`,
    [now, mail.id, mail.tries],
  );
}

/** Ends a lease: the mail is due again at `nextAt` (epoch ms). */
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

/** Ends a lease: the mail is dead-lettered. */
export function updateMailDead(tx: Tx, mail: OutboxRow, error: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET dead_at = ?, error = ? WHERE id = ? AND tries = ? AND sent_at IS NULL AND dead_at IS NULL`,
    [now, error, mail.id, mail.tries],
  );
}

/** Dead-letters the unsent mails of an attempt: their code would no longer work. */
export function updateUnsentMailDead(tx: Tx, attemptId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET dead_at = ?, error = 'superseded' WHERE attempt_id = ? AND sent_at IS NULL AND dead_at IS NULL`,
    [now, attemptId],
  );
}

/** Finds a mail. */
export function findMail(db: Pick<Db, 'get'>, id: string): Promise<OutboxRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM outbox WHERE id = ?`, [id]);
}

/** Lists the queued mails after one of them, those that are due first at the beginning. */
export function listWaitingMail(
  db: Pick<Db, 'all'>,
  after: { at: number; id: string },
  limit: number,
): Promise<OutboxRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM outbox WHERE sent_at IS NULL AND dead_at IS NULL AND next_at >= ? AND (next_at > ? OR id > ?)
     ORDER BY next_at, id LIMIT ?`,
    [after.at, after.at, after.id, limit],
  );
}

/** Lists the mails that were dead-lettered, without those that another mail replaced, before an id, newest first. */
export function listDeadMail(db: Pick<Db, 'all'>, before: string, limit: number): Promise<OutboxRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM outbox WHERE ${DEAD} AND id < ? ORDER BY id DESC LIMIT ?`, [
    before,
    limit,
  ]);
}

/** Counts the mails of listDeadMail(), up to `max`. */
export async function countDeadMail(db: Pick<Db, 'get'>, max: number): Promise<number> {
  const row = await db.get<{ count: number }>(
    `SELECT COUNT(*) AS count FROM (SELECT id FROM outbox WHERE ${DEAD} AND id < '~' ORDER BY id DESC LIMIT ?) d`,
    [max],
  );
  return row!.count;
}

/** Queues a mail of listDeadMail() again, due at once, unless it was queued already. */
export function updateMailRetried(tx: Tx, id: string, now: number, giveUpAt: number): Promise<number> {
  return tx.run(
    `UPDATE outbox SET dead_at = NULL, error = NULL, next_at = ?, give_up_at = ?
     WHERE id = ? AND sent_at IS NULL AND ${DEAD}`,
    [now, giveUpAt, id],
  );
}

/** Finds the domains that the mails of a page went to, one for each mail that there is. */
export async function listMailDomains(db: Pick<Db, 'all'>, ids: readonly string[]): Promise<string[]> {
  const rows = await db.all<{ mailbox: string }>(
    `SELECT mailbox FROM outbox WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return rows.map(({ mailbox }) => mailbox.slice(mailbox.lastIndexOf('@') + 1));
}

/** Counts the queued mails. `oldest`: when the oldest of them was created, epoch ms; null: none is queued. */
export async function countWaitingMail(
  db: Pick<Db, 'get'>,
): Promise<{ waiting: number; oldest: number | null }> {
  const row = await db.get<{ waiting: number; oldest: number | null }>(
    `SELECT COUNT(*) AS waiting, MIN(created_at) AS oldest FROM outbox WHERE sent_at IS NULL AND dead_at IS NULL`,
  );
  return row!;
}

/** As the index `outbox_dead` has it. */
const DEAD = `dead_at IS NOT NULL AND error <> 'superseded'`;

const COLUMNS = `id, kind, attempt_id AS "attemptId", mailbox, created_at AS "createdAt", next_at AS "nextAt", tries,
  give_up_at AS "giveUpAt", sent_at AS "sentAt", dead_at AS "deadAt", error`;
