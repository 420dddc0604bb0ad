import { DAY_MS } from '../../lib/time.ts';
import { findAccount, lockAccount } from '../../store/accounts.ts';
import { findLastNoticeTime, insertNotice, lockWaitingNotice } from '../../store/outbox.ts';
import type { Work } from '../../work.ts';
import { type Event, record } from './audit-log.ts';
import { queueMail } from './queue-mail.ts';

/** Mail that tells the owner of an account what just happened to it, in case it was somebody else (S-48). */

/** What they are told of. */
type NotifiableEvent =
  | 'agent.merged'
  | 'agent.linked'
  | 'agent.merge_undone'
  | 'agent.released'
  | 'agent.revoked'
  | 'agent.connected'
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
  | 'account.deleted';

/** The first is told at once; what follows within the hour comes in one mail after it. */
const PAUSE_MS = 3_600_000;
const GIVE_UP_MS = 3 * DAY_MS;

/**
 * Writes an audit line of a human's account, and puts it into a mail to its owner, in the transaction of the change. The mail
 * leaves with the outbox's next turn; its words are found when it does.
 *
 * It holds the account, so that of two at once the second joins the mail of the first. Who changes more rows holds the account
 * before all others: see the order of locks in docs/adr/0003-two-engines-one-sql.md.
 */
export async function recordAndNotify(
  work: Work,
  ownerId: string,
  event: Event & { kind: NotifiableEvent },
): Promise<void> {
  const { tx } = work;
  const eventId = await record(work, { ...event, accountId: ownerId });
  if (!(await lockAccount(tx, ownerId))) return;
  const mailId = (await lockWaitingNotice(tx, ownerId)) ?? (await openNotice(work, ownerId));
  await insertNotice(tx, mailId, eventId);
}

async function openNotice(work: Work, ownerId: string): Promise<string> {
  const { tx, now } = work;
  const { mailbox } = (await findAccount(tx, ownerId))!;
  const last = await findLastNoticeTime(tx, ownerId);
  return queueMail(work, {
    kind: 'notice',
    attemptId: ownerId,
    mailbox: mailbox!,
    nextAt: last === undefined ? now : Math.max(now, last + PAUSE_MS),
    giveUpAt: now + GIVE_UP_MS,
  });
}
