import type { Deps } from '../../deps.ts';
import { newId } from '../../lib/ids.ts';
import { findAccount, insertHumanAccount, lockAccountByMailbox } from '../../store/accounts.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';

/** Returns the canonical mailbox of a human's account; undefined if there is no such account, or it was deleted. */
export async function findMailbox(deps: Pick<Deps, 'db'>, accountId: string): Promise<string | undefined> {
  return (await findAccount(deps.db, accountId))?.mailbox ?? undefined;
}

/**
 * Returns the account of a mailbox that was just proven, and creates it with the first proof (S-34). Of two concurrent
 * calls for a new mailbox, one creates the account. Locks the account row.
 *
 * @param mailbox canonical
 */
export async function findOrCreateAccount(
  work: Work,
  mailbox: string,
): Promise<{ id: string; isNew: boolean }> {
  const { tx, now, deps } = work;
  const id = newId('usr', now, deps.random);
  for (;;) {
    if (await insertHumanAccount(tx, id, mailbox, now)) {
      await recordEvent(work, { kind: 'account.created', accountId: id });
      return { id, isNew: true };
    }
    const existing = await lockAccountByMailbox(tx, mailbox);
    if (existing !== undefined) return { ...existing, isNew: false };
    // The account was deleted between the two statements, so the mailbox is free again.
  }
}
