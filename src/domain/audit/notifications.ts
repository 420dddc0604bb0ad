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
  | 'app.asked'
  | 'app.connected'
  | 'app.revoked'
  | 'capability.granted'
  | 'host.linked'
  | 'host.revoked'
  | 'claim.denied'
  | 'key.created'
  | 'key.expiring'
  | 'app_key.made'
  | 'session.begun'
  | 'authenticator.added'
  | 'authenticator.removed'
  | 'recovery_codes.made'
  | 'recovery_code.used'
  | 'tree.changed'
  | 'session_key.bound'
  | 'session_key.rotated'
  | 'terminal.connected'
  | 'permission.asked'
  | 'permission.granted'
  | 'account.deleted'
  | 'member.joined'
  | 'member.removed'
  | 'member.role_changed'
  | 'workspace.deleted';

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
 * @param ownerId the account of the human
 * @param alsoTold accounts that get a notice of the same event, such as the other owners of a workspace
 */
export async function recordAndNotify(
  work: Work,
  ownerId: string,
  event: AuditEvent & { kind: NotifiableEvent },
  alsoTold: readonly string[] = [],
): Promise<void> {
  const eventId = await recordEvent(work, { ...event, accountId: ownerId });
  await notify(work, [ownerId, ...alsoTold], eventId);
}

/**
 * Locks accounts in the order of their ids. Who ends places, and tells people of it afterwards, locks them before: see the order of
 * locks in docs/adr/0003-two-engines-one-sql.md.
 */
export async function lockAccounts({ tx }: Pick<Work, 'tx'>, accountIds: readonly string[]): Promise<void> {
  for (const accountId of [...new Set(accountIds)].sort()) await lockAccount(tx, accountId);
}

/**
 * Adds an event to notices to accounts, in the transaction of the change.
 *
 * Locks the account rows, so that of two concurrent calls the second adds to the notice of the first. A caller that
 * changes other rows locks the accounts before them: see the order of locks in docs/adr/0003-two-engines-one-sql.md.
 */
export async function notify(work: Work, accountIds: readonly string[], eventId: string): Promise<void> {
  const { tx } = work;
  for (const accountId of [...new Set(accountIds)].sort()) {
    if (!(await lockAccount(tx, accountId))) continue;
    const mailId = (await lockWaitingNotice(tx, accountId)) ?? (await queueNotice(work, accountId));
    await insertNotice(tx, mailId, eventId);
  }
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
