import { newId } from '../../lib/ids.ts';
import { insertMail, type OutboxRow } from '../../store/outbox.ts';
import type { Work } from '../../work.ts';

/**
 * Puts a mail into the outbox, in the caller's transaction.
 *
 * @param mail.attemptId id of the row that the mail is about; its words are composed from that row when it is sent
 * @param mail.nextAt epoch ms, when it is due: the outbox worker finds it when it polls next. Undefined: somebody waits for it, and
 *   the worker is woken after the commit
 * @param mail.giveUpAt epoch ms, when it is of no use any more
 * @returns its id
 */
export async function queueMail(
  work: Work,
  mail: Pick<OutboxRow, 'kind' | 'attemptId' | 'mailbox' | 'giveUpAt'> & { nextAt?: number },
): Promise<string> {
  const { tx, now, deps } = work;
  const id = newId('out', now, deps.random);
  await insertMail(tx, { id, createdAt: now, ...mail });
  if (mail.nextAt === undefined) work.wake();
  return id;
}
