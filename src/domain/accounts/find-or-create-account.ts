import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { findAccount, insertHumanAccount, lockAccountByMailbox } from '../../store/accounts.ts';
import type { Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';

/** What a human has here: what happened to it, and its end. */

/** The mailbox of a human's account, or undefined. */
export async function mailboxOf(deps: Pick<Deps, 'db'>, accountId: string): Promise<string | undefined> {
  return (await findAccount(deps.db, accountId))?.mailbox ?? undefined;
}
/** The account of a mailbox that was just proven; it comes into being here, with the first proof (S-34). Of two at once, one is new. */
export async function findOrCreateAccount(
  work: Work,
  mailbox: string,
): Promise<{ id: string; isNew: boolean }> {
  const { tx, now, deps } = work;
  const id = newId('usr', now, deps.random);
  for (;;) {
    if (await insertHumanAccount(tx, id, mailbox, now)) {
      await record(work, { kind: 'account.created', accountId: id });
      return { id, isNew: true };
    }
    const known = await lockAccountByMailbox(tx, mailbox);
    if (known !== undefined) return { ...known, isNew: false };
    // It was deleted between the two statements: the mailbox is nobody's again.
  }
}
