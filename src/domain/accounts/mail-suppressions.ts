import type { Deps } from '../../deps.ts';
import { sha256 } from '../../lib/hash.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';
import { DAY_MS } from '../../lib/time.ts';
import { deleteRefusalOfAll, insertRefusal, isRefused, refusesAll } from '../../store/mail-refusals.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import type { Session } from './sessions.ts';

/** A sender that was refused can have no mail sent to that mailbox for so long (S-15). */
const REFUSED_MS = DAY_MS;

/** Whoever asks a human by mail. */
export interface MailSender {
  /** Of its registration, or of the host that it runs under. */
  id: string;
  /** As it calls itself. */
  name: string | null;
  /** The coarse network that asked. */
  origin: string;
}

/** What it is known by: one that registers anew is still who it says, where it was. */
function keysOf({ id, name, origin }: MailSender): [string, string] {
  const who = JSON.stringify([origin, (name ?? '').normalize('NFKC').trim().toLowerCase()]);
  return [id, `who:${sha256(who).toString('base64url')}`];
}

/** Whether a mailbox wants no mail of a sender now. @param mailbox canonical */
export function isMailSuppressed(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  mailbox: string,
  sender: MailSender,
): Promise<boolean> {
  return isRefused(db, mailboxLimitKey(mailbox), keysOf(sender), clock());
}

/** Keeps a sender away from a mailbox for a day, in the caller's transaction; and all others for good, where it wants no mail more. */
export async function suppressMail(
  work: Work,
  to: string,
  sender: MailSender,
  { noMore }: { noMore: boolean },
): Promise<void> {
  const { tx, now } = work;
  const mailbox = mailboxLimitKey(to);
  for (const key of keysOf(sender)) {
    await insertRefusal(tx, { mailbox, sender: key, now, endsAt: now + REFUSED_MS });
  }
  if (noMore) await insertRefusal(tx, { mailbox, sender: '', now, endsAt: null });
}

/** Whether the mailbox of a session wants no mail of agents at all. */
export function wantsNoMail(deps: Pick<Deps, 'db'>, session: Session): Promise<boolean> {
  return refusesAll(deps.db, mailboxLimitKey(session.mailbox));
}

/** Lets agents' mail through to the mailbox of a session, or keeps all of it away. */
export async function setWantsMail(
  deps: Deps,
  origin: RequestOrigin,
  session: Session,
  wanted: boolean,
): Promise<void> {
  const { accountId } = session;
  const mailbox = mailboxLimitKey(session.mailbox);
  await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    if (wanted) await deleteRefusalOfAll(tx, mailbox);
    else await insertRefusal(tx, { mailbox, sender: '', now, endsAt: null });
    await record(work, { kind: 'mail.wanted', accountId, details: { wanted } });
  });
}
