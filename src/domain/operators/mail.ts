import type { Deps } from '../../deps.ts';
import {
  afterMark,
  allPages,
  COUNT_MAX,
  formatNumberMark,
  PAGE_ROWS_MAX,
  parseNumberMark,
} from '../../lib/list-pages.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { singleLine } from '../../lib/untrusted-text.ts';
import {
  countDeadMail,
  countWaitingMail,
  findMail,
  listDeadMail,
  listWaitingMail,
  type OutboxRow,
  updateMailRetried,
} from '../../store/outbox.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { NOTICE_GIVE_UP_MS } from '../audit/notifications.ts';
import { type OperatorAct, recordOperatorEvent } from '../audit/operator-acts.ts';
import { OUTDATED_MAIL } from '../audit/queue-mail.ts';
import { actOnEach } from './act-on-each.ts';
import { type Figure, toFigure } from './figures.ts';

/** The outbox as operators see it: what waits, and what was given up. Nothing of a mail's text is in it. */

export const MAIL_STATES = ['waiting', 'dead'] as const;
export type MailState = (typeof MAIL_STATES)[number];

/** A mail as an operator sees it; times in epoch ms. */
export interface FoundMail {
  id: string;
  kind: OutboxRow['kind'];
  /** Masked. */
  mailbox: string;
  createdAt: number;
  /** How often it was tried. */
  tries: number;
  /** When it is tried next; undefined: it was given up. */
  nextAt: number | undefined;
  deadAt: number | undefined;
  /** What the mail server said last, or another fault; undefined: nothing yet. */
  fault: string | undefined;
  /** Whether it was given up because its code or request had ended. */
  isOutdated: boolean;
  /** Whether it can be sent again: it was given up, and what it says still holds. */
  canRetry: boolean;
}

/** How many mails there are of each state. */
export interface MailCounts {
  waiting: Figure;
  dead: Figure;
}

/** Counts the mails that wait and those that were given up. */
export async function countMail({ db }: Pick<Deps, 'db'>): Promise<MailCounts> {
  const [{ waiting }, dead] = await Promise.all([countWaitingMail(db), countDeadMail(db, COUNT_MAX + 1)]);
  return { waiting: toFigure(waiting, COUNT_MAX), dead: toFigure(dead, COUNT_MAX) };
}

/**
 * Lists one page of mails: those that wait, the next one first; or those that were given up, newest first.
 *
 * @param before `next` of the page before
 */
export async function findMails(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  state: MailState,
  before: string | undefined,
): Promise<{ mails: FoundMail[]; next: string | undefined }> {
  const place = parseNumberMark(afterMark(before));
  const found =
    state === 'waiting'
      ? await listWaitingMail(db, { at: place?.key ?? 0, id: place?.id ?? '' }, PAGE_ROWS_MAX + 1)
      : await listDeadMail(db, before ?? '~', PAGE_ROWS_MAX + 1);
  const rows = found.slice(0, PAGE_ROWS_MAX);
  const last = found.length > rows.length ? rows.at(-1)! : undefined;
  return {
    mails: rows.map((row) => toFoundMail(row, clock())),
    next: last && (state === 'waiting' ? formatNumberMark(last.nextAt, last.id) : last.id),
  };
}

/** Finds mails by their ids, in that order; ids of none are left out. */
export async function findMailsById(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  ids: readonly string[],
): Promise<FoundMail[]> {
  const rows = await Promise.all(ids.map((id) => findMail(db, id)));
  return rows.filter((row) => row !== undefined).map((row) => toFoundMail(row, clock()));
}

/**
 * Queues mails that were given up once more, all or none, and has them sent at once. Those that cannot be retried, and
 * ids of no mail, change nothing.
 *
 * @returns the ids of those that were queued
 */
export function retryMails(
  deps: Deps,
  origin: RequestOrigin,
  act: OperatorAct,
  ids: readonly string[],
): Promise<string[]> {
  return actOnEach(deps, origin, ids, async (work, id) => {
    const mail = await findMail(work.tx, id);
    return mail !== undefined && retry(work, act, mail);
  });
}

/** Queues all mails once more that can be retried, a page in each transaction. @returns how many */
export async function retryAllMails(deps: Deps, origin: RequestOrigin, act: OperatorAct): Promise<number> {
  let count = 0;
  for await (const { mails } of allPages(undefined, (before) => findMails(deps, 'dead', before))) {
    const ids = mails.filter(({ canRetry }) => canRetry).map(({ id }) => id);
    if (ids.length > 0) count += (await retryMails(deps, origin, act, ids)).length;
  }
  return count;
}

async function retry(work: Work, act: OperatorAct, mail: OutboxRow): Promise<boolean> {
  const { tx, now } = work;
  if (!canRetry(mail, now)) return false;
  const giveUpAt = mail.kind === 'notice' ? now + NOTICE_GIVE_UP_MS : mail.giveUpAt;
  if ((await updateMailRetried(tx, mail.id, now, giveUpAt)) !== 1) return false;
  await recordOperatorEvent(work, act, { kind: 'operator.mail_retried', subject: mail.id });
  work.wakeOutbox();
  return true;
}

/** A notice tells what happened, which stays true. All other mails end with their code or request. */
function canRetry({ kind, deadAt, giveUpAt, error }: OutboxRow, now: number): boolean {
  if (deadAt === null || error === 'superseded') return false;
  return kind === 'notice' || (giveUpAt > now && error !== OUTDATED_MAIL);
}

function toFoundMail(row: OutboxRow, now: number): FoundMail {
  const isOutdated = row.error === OUTDATED_MAIL;
  return {
    id: row.id,
    kind: row.kind,
    mailbox: maskMailbox(row.mailbox),
    createdAt: row.createdAt,
    tries: row.tries,
    nextAt: row.deadAt === null ? row.nextAt : undefined,
    deadAt: row.deadAt ?? undefined,
    // A server may repeat the address.
    fault:
      row.error === null
        ? undefined
        : singleLine(row.error.replaceAll(row.mailbox, maskMailbox(row.mailbox)), 200),
    isOutdated,
    canRetry: canRetry(row, now),
  };
}
