import type { Deps } from '../../deps.ts';
import { findAccount } from '../../store/accounts.ts';

/** What is known of a human, by the names of OpenID Connect Core 1.0 section 5.1. */
export interface HumanClaims {
  email: string;
  email_verified: true;
  /** What the human wants to be called; undefined: nothing. */
  name?: string;
}

/** Finds what is known of a human; undefined if there is no such account, or it was deleted. */
export async function findClaims(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
): Promise<HumanClaims | undefined> {
  const account = await findAccount(db, accountId);
  if (account?.mailbox == null) return undefined;
  const { mailbox, name } = account;
  return { email: mailbox, email_verified: true, ...(name !== null && { name }) };
}
