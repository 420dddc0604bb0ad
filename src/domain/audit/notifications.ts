import { DAY_MS } from '../../lib/time.ts';
import { findAccount, lockAccount } from '../../store/accounts.ts';
import { findLastNoticeTime, insertNotice, lockWaitingNotice } from '../../store/outbox.ts';
import type { Work } from '../../work.ts';
import { type AuditEvent, recordEvent } from './audit-log.ts';
import { queueMail } from './queue-mail.ts';

/** Notices: mails that tell the owner of an account what happened to it, in case somebody else did it (S-48). */

/** The kinds of events that are mailed to the owner. */
type NotifiableEvent =
  | 'agent.merged'
  | 'agent.linked'
  | 'agent.merge_undone'
  | 'agent.released'
  | 'agent.revoked'
  | 'agent.connected'
  | 'app.connected'
  | 'app.revoked'
  | 'capability.granted'
  | 'host.linked'
  | 'host.revoked'
  | 'claim.denied'
  | 'key.created'
  | 'key.expiring'
  | 'session.begun'
  | 'authenticator.added'
  | 'authenticator.removed'
  | 'recovery_codes.made'
  | 'recovery_code.used'
  | 'tree.changed'
  | 'account.deleted';

/**
 * An account gets one notice an hour at most: the first event is mailed at once, those of the next hour in one mail.
 */
const NOTICE_PAUSE_MS = 3_600_000;
/** How long it is tried to send a notice. */
export const NOTICE_GIVE_UP_MS = 3 * DAY_MS;

/**
 * Writes an event of a human's account to the audit log and adds it to a notice to the owner, in the transaction of the
 * change. The outbox worker sends the notice and composes its text then.
 *
 * Locks the account row, so that of two concurrent calls the second adds to the notice of the first. A caller that
 * changes other rows locks the account before them: see the order of locks in docs/adr/0003-two-engines-one-sql.md.
 *
 * @param ownerId the account of the human
 */
export async function recordAndNotify(
  work: Work,
  ownerId: string,
  event: AuditEvent & { kind: NotifiableEvent },
): Promise<void> {
  const { tx } = work;
  const eventId = await recordEvent(work, { ...event, accountId: ownerId });
  if (!(await lockAccount(tx, ownerId))) return;
  const mailId = (await lockWaitingNotice(tx, ownerId)) ?? (await queueNotice(work, ownerId));
  await insertNotice(tx, mailId, eventId);
}

async function queueNotice(work: Work, ownerId: string): Promise<string> {
  const { tx, now } = work;
  const { mailbox } = (await findAccount(tx, ownerId))!;
  const lastNoticeAt = await findLastNoticeTime(tx, ownerId);
  return queueMail(work, {
    kind: 'notice',
    attemptId: ownerId,
    mailbox: mailbox!,
    nextAt: lastNoticeAt === undefined ? now : Math.max(now, lastNoticeAt + NOTICE_PAUSE_MS),
    giveUpAt: now + NOTICE_GIVE_UP_MS,
  });
}
