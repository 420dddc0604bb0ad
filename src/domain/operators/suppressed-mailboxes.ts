import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { afterMark, PAGE_ROWS_MAX, parseNumberMark } from '../../lib/list-pages.ts';
import { mailboxLimitKey, maskMailbox } from '../../lib/mailbox.ts';
import { findAccountFoundByMailbox } from '../../store/account-search.ts';
import {
  deleteSuppressionsOf,
  listSuppressionsOf,
  listSuppressionsOfAllSenders,
  type SuppressionRow,
} from '../../store/mail-refusals.ts';
import type { RequestOrigin } from '../../work.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { useCase } from '../limits/use-case.ts';

/**
 * Mailboxes whose owners want no mail of agents, as operators see them: masked. A sealed form of the mailbox stands for
 * it in forms and links, so that neither says it.
 */

/** A mailbox that gets no mail of all or some agents; times in epoch ms. */
export interface SuppressedMailbox {
  /** Masked; without its `+tag`. */
  mailbox: string;
  /** For allowMail(). */
  sealed: string;
  isForAll: boolean;
  since: number;
  /** undefined: until somebody allows it. */
  endsAt: number | undefined;
}

const PURPOSE = 'suppressed-mailbox';

/**
 * Lists one page of the mailboxes that get no mail of any agent, newest first.
 *
 * @param before `next` of the page before
 */
export async function findSuppressedMailboxes(
  deps: Pick<Deps, 'db' | 'keyring'>,
  before: string | undefined,
): Promise<{ suppressed: SuppressedMailbox[]; next: string | undefined }> {
  // The time of a row and how many of that time were listed: an address belongs into no URL.
  const cursor = parseNumberMark(afterMark(before));
  const until = cursor?.key ?? Number.MAX_SAFE_INTEGER;
  const skip = Number(cursor?.id ?? 0) || 0;
  const found = (await listSuppressionsOfAllSenders(deps.db, until, PAGE_ROWS_MAX + 1 + skip)).slice(skip);
  const rows = found.slice(0, PAGE_ROWS_MAX);
  const lastAt = rows.at(-1)?.createdAt;
  const listed = rows.filter(({ createdAt }) => createdAt === lastAt).length + (lastAt === until ? skip : 0);
  return {
    suppressed: rows.map((row) => toSuppressed(deps, row)),
    next: found.length > rows.length ? `${lastAt}.${listed}` : undefined,
  };
}

/** Finds what is suppressed for one mailbox, also of single senders. @param mailbox canonical */
export async function findSuppressionsOf(
  deps: Pick<Deps, 'db' | 'keyring' | 'clock'>,
  mailbox: string,
): Promise<SuppressedMailbox[]> {
  const rows = await listSuppressionsOf(deps.db, mailboxLimitKey(mailbox), deps.clock());
  const forAll = rows.find(({ sender }) => sender === '');
  // One sender has two rows, see suppressMail().
  const latest = rows.toSorted((one, other) => (other.endsAt ?? 0) - (one.endsAt ?? 0))[0];
  const shown = forAll ?? latest;
  return shown === undefined ? [] : [toSuppressed(deps, shown)];
}

/** Opens the sealed form of a mailbox. @throws Failure `notFound` for anything else */
export function openSuppressed({ keyring }: Pick<Deps, 'keyring'>, sealed: string): string {
  const mailbox = keyring.open(PURPOSE, '', Buffer.from(sealed, 'base64url'));
  if (mailbox === undefined) throw new Failure('notFound', 'There is no such address.');
  return mailbox;
}

/**
 * Allows mail of all agents to a mailbox as an operator.
 *
 * @param mailbox canonical, or as openSuppressed() returns it
 * @returns false: nothing was suppressed
 */
export function allowMail(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  mailbox: string,
): Promise<boolean> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    if ((await deleteSuppressionsOf(tx, mailboxLimitKey(mailbox))) === 0) return false;
    const masked = maskMailbox(mailbox);
    const account = await findAccountFoundByMailbox(tx, mailbox);
    await recordOperatorEvent(work, act, {
      kind: 'operator.mail_changed',
      subject: account?.id ?? masked,
      details: { wanted: true, mailbox: masked },
    });
    return true;
  });
}

function toSuppressed(
  { keyring }: Pick<Deps, 'keyring'>,
  { mailbox, sender, createdAt, endsAt }: SuppressionRow,
): SuppressedMailbox {
  return {
    mailbox: maskMailbox(mailbox),
    sealed: keyring.seal(PURPOSE, '', mailbox).toString('base64url'),
    isForAll: sender === '',
    since: createdAt,
    endsAt: endsAt ?? undefined,
  };
}
