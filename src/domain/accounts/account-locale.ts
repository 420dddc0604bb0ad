import type { Deps } from '../../deps.ts';
import { DEFAULT_LOCALE, type Locale, parseLocale } from '../../lib/translate.ts';
import { findAccountByMailbox, updateAccountLocale } from '../../store/accounts.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';

/** The language that a human chose for pages and mail. */

/** Sets the language of an account. @param locale undefined: pages follow the browser */
export async function setAccountLocale(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  locale: Locale | undefined,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    if ((await updateAccountLocale(work.tx, accountId, locale ?? null)) !== 1) return;
    const details = locale === undefined ? {} : { locale };
    await recordEvent(work, { kind: 'account.locale_changed', accountId, details });
  });
}

/**
 * Finds the language of a mail: the one that the account of the mailbox chose, else the one of the page that asked for it.
 * Nothing but the mail tells which, since it would tell whether there is an account (S-44).
 *
 * @param mailbox canonical
 * @param askedIn the language of the page; null: no page asked
 */
export async function findMailLocale(
  { db }: Pick<Deps, 'db'>,
  mailbox: string,
  askedIn: string | null = null,
): Promise<Locale> {
  const account = await findAccountByMailbox(db, mailbox);
  return parseLocale(account?.locale) ?? parseLocale(askedIn) ?? DEFAULT_LOCALE;
}
