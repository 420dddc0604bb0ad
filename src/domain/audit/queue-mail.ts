import { newId } from '../../lib/ids.ts';
import { insertMail, type OutboxRow } from '../../store/outbox.ts';
import type { Work } from '../../work.ts';

/** The reason that is stored with a mail which was given up because it had become pointless. */
export const OUTDATED_MAIL = 'its code was of no use any more before the mail could leave';

/**
 * Writes a mail to the outbox, in the caller's transaction.
 *
 * @param mail.attemptId id of the row that the mail is about; its text is composed from that row when it is sent
 * @param mail.nextAt epoch ms of the first attempt to send it; the outbox worker finds it at its next poll. Undefined: at once, and
 *   the worker is woken after the commit
 * @param mail.giveUpAt epoch ms after which it is not sent any more
 * @returns the id of the mail
 */
export async function queueMail(
  work: Work,
  mail: Pick<OutboxRow, 'kind' | 'attemptId' | 'mailbox' | 'giveUpAt'> & { nextAt?: number },
): Promise<string> {
  const { tx, now, deps } = work;
  const id = newId('out', now, deps.random);
  await insertMail(tx, { id, createdAt: now, ...mail });
  if (mail.nextAt === undefined) work.wakeOutbox();
  return id;
}
