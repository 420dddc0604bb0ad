import type { Deps } from '../../deps.ts';
import { sha256 } from '../../lib/hash.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';
import { DAY_MS } from '../../lib/time.ts';
import {
  ALL_INVITATIONS,
  deleteSuppressionOfAllSenders,
  deleteSuppressionsOfInvitations,
  isInvitationSuppressed,
  isSuppressed,
  isSuppressedForAllSenders,
  upsertSuppression,
} from '../../store/mail-refusals.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
import type { Session } from './sessions.ts';

/** How long a mailbox gets no mail of a sender that its owner denied (S-15). */
const SUPPRESSED_MS = DAY_MS;

/** An agent or host that asks a human by mail to claim or connect an agent. */
export interface MailSender {
  /** The id of the agent's registration, or of the host that the agent runs under. */
  id: string;
  /** The name that it chose: unverified. */
  name: string | null;
  /** The coarse network that the request came from. */
  origin: string;
}

/**
 * Two keys of a sender. The second holds also if the agent registers again with the same name from the same network.
 */
function senderKeysOf({ id, name, origin }: MailSender): [string, string] {
  const nameAndNetwork = JSON.stringify([origin, (name ?? '').normalize('NFKC').trim().toLowerCase()]);
  return [id, `who:${sha256(nameAndNetwork).toString('base64url')}`];
}

/**
 * Returns whether a mailbox currently gets no mail of a sender.
 *
 * @param mailbox canonical
 */
export function isMailSuppressed(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  mailbox: string,
  sender: MailSender,
): Promise<boolean> {
  return isSuppressed(db, mailboxLimitKey(mailbox), senderKeysOf(sender), clock());
}

/**
 * Suppresses the mail of a sender to a mailbox for a day, in the caller's transaction (S-15).
 *
 * @param mailbox canonical
 * @param options.noMore also suppresses the mail of all agents, until setAgentMailAllowed() allows it again
 */
export async function suppressMail(
  work: Work,
  mailbox: string,
  sender: MailSender,
  { noMore }: { noMore: boolean },
): Promise<void> {
  const { tx, now } = work;
  const mailboxKey = mailboxLimitKey(mailbox);
  for (const senderKey of senderKeysOf(sender)) {
    await upsertSuppression(tx, { mailbox: mailboxKey, sender: senderKey, now, endsAt: now + SUPPRESSED_MS });
  }
  if (noMore) await upsertSuppression(tx, { mailbox: mailboxKey, sender: '', now, endsAt: null });
}

/** Returns whether all mail of agents to the mailbox of a session is suppressed. */
export function isAgentMailSuppressed(deps: Pick<Deps, 'db'>, session: Session): Promise<boolean> {
  return isMailboxSuppressed(deps, session.mailbox);
}

/** Returns whether all mail of agents to a mailbox is suppressed. @param mailbox canonical */
export function isMailboxSuppressed({ db }: Pick<Deps, 'db'>, mailbox: string): Promise<boolean> {
  return isSuppressedForAllSenders(db, mailboxLimitKey(mailbox));
}

/**
 * Allows mail of agents to the mailbox of a session, or suppresses all of it. Mail to sign in and notices are not
 * affected.
 */
export async function setAgentMailAllowed(
  deps: Deps,
  origin: RequestOrigin,
  session: Session,
  wanted: boolean,
): Promise<void> {
  const { accountId, mailbox } = session;
  await useCase(deps, origin, {}, async (work) => {
    await setMailAllowed(work, mailbox, wanted);
    await recordEvent(work, { kind: 'mail.wanted', accountId, details: { wanted } });
  });
}

/** Allows mail of agents to a mailbox, or suppresses all of it, in the caller's transaction. @param mailbox canonical */
export async function setMailAllowed({ tx, now }: Work, mailbox: string, wanted: boolean): Promise<void> {
  const key = mailboxLimitKey(mailbox);
  if (wanted) await deleteSuppressionOfAllSenders(tx, key);
  else await upsertSuppression(tx, { mailbox: key, sender: '', now, endsAt: null });
}

/**
 * Suppresses invitations to a mailbox, in the caller's transaction, until setInvitationsAllowed() allows them again.
 *
 * @param mailbox canonical
 * @param workspaceId undefined: those of all workspaces
 */
export async function suppressInvitations(
  { tx, now }: Work,
  mailbox: string,
  workspaceId?: string,
): Promise<void> {
  const sender = workspaceId ?? ALL_INVITATIONS;
  await upsertSuppression(tx, { mailbox: mailboxLimitKey(mailbox), sender, now, endsAt: null });
}

/** Returns whether a mailbox gets no invitation of a workspace. @param mailbox canonical */
export function areInvitationsSuppressed(
  { db }: Pick<Deps, 'db'>,
  mailbox: string,
  workspaceId: string = ALL_INVITATIONS,
): Promise<boolean> {
  return isInvitationSuppressed(db, mailboxLimitKey(mailbox), workspaceId);
}

/** Allows invitations of all workspaces to the mailbox of a session, or suppresses them. */
export async function setInvitationsAllowed(
  deps: Deps,
  origin: RequestOrigin,
  { accountId, mailbox }: Session,
  wanted: boolean,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    if (wanted) await deleteSuppressionsOfInvitations(work.tx, mailboxLimitKey(mailbox));
    else await suppressInvitations(work, mailbox);
    await recordEvent(work, { kind: 'mail.wanted', accountId, details: { wanted, of: 'invitations' } });
  });
}
