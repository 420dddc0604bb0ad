import type { Deps } from '../../deps.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { displayName } from '../../lib/untrusted-text.ts';
import { findAccount, type NamedAccount, updateAccountName } from '../../store/accounts.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/** What a human wants to be called by the members of their workspaces, who else see the masked mailbox. */

/** Sets what a human wants to be called. @param name undefined: nothing. The audit log does not have it */
export async function setAccountName(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  name: string | undefined,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    if ((await updateAccountName(work.tx, accountId, name ?? null)) !== 1) return;
    await recordEvent(work, { kind: 'account.name_changed', accountId });
  });
}

/** Finds what a human wants to be called; undefined: nothing. */
export async function findAccountName(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
): Promise<string | undefined> {
  return (await findAccount(db, accountId))?.name ?? undefined;
}

/** Names a human to others: as they want it, else by the masked mailbox. @returns undefined: the account has ended */
export function nameToOthers(account: NamedAccount | undefined): string | undefined {
  if (account?.mailbox == null) return undefined;
  return (account.name && displayName(account.name)) || maskMailbox(account.mailbox);
}
