import type { Deps } from '../deps.ts';
import { mailboxLimitKey } from '../lib/mailbox.ts';
import { deleteRefusalOfAll, insertRefusal, refusesAll } from '../store/mail-refusals.ts';
import { type Asker, record } from './events.ts';
import type { Session } from './sessions.ts';

/** Whether the mailbox of a session wants no mail of agents at all. */
export function wantsNoMail(deps: Pick<Deps, 'db'>, session: Session): Promise<boolean> {
  return refusesAll(deps.db, mailboxLimitKey(session.mailbox));
}

/** Lets agents' mail through to the mailbox of a session, or keeps all of it away. */
export async function setWantsMail(
  deps: Deps,
  asker: Asker,
  session: Session,
  wanted: boolean,
): Promise<void> {
  const { accountId } = session;
  const mailbox = mailboxLimitKey(session.mailbox);
  const now = deps.clock();
  await deps.db.tx(async (tx) => {
    if (wanted) await deleteRefusalOfAll(tx, mailbox);
    else await insertRefusal(tx, { mailbox, registrationId: '', now, endsAt: null });
    await record(tx, deps, asker, now, { kind: 'mail.wanted', accountId, details: { wanted } });
  });
}
