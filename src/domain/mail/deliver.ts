import type { Deps } from '../../deps.ts';
import { SEND_DEADLINE_MS } from '../../ports/mailer.ts';
import {
  countWaitingMail,
  listDueMail,
  type OutboxRow,
  updateMailDead,
  updateMailDelayed,
  updateMailLeased,
  updateMailSent,
} from '../../store/outbox.ts';
import { localOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { OUTDATED_MAIL } from '../audit/queue-mail.ts';
import { useCase } from '../limits/use-case.ts';
import { composeMail } from './compose-mail.ts';

const LEASE_MS = 2 * SEND_DEADLINE_MS;
/** Pauses before the second, third, … try; the last one repeats. */
const PAUSES_MS = [30, 120, 300, 900, 1800, 3600].map((seconds) => seconds * 1000);
/**
 * An unreachable server is tried more often, since it has seen no attempt: mails leave within a minute of its return
 * (R-12).
 */
const UNREACHABLE_PAUSE_MAX_MS = 60_000;

/**
 * Leases a due mail that no other worker has leased, and tries to send it.
 *
 * @returns whether there was one; the caller repeats until there is none
 */
export async function sendNextMail(deps: Deps): Promise<boolean> {
  const now = deps.clock();
  for (const { id } of await listDueMail(deps.db, now, 10)) {
    const mail = await deps.db.tx((tx) => updateMailLeased(tx, id, now, now + LEASE_MS));
    if (mail === undefined) continue;
    await sendMail(deps, mail);
    return true;
  }
  return false;
}

async function sendMail(deps: Deps, mail: OutboxRow): Promise<void> {
  const composed = await composeMail(deps, mail);
  const now = deps.clock();
  if (composed === 'over' || mail.giveUpAt <= now) {
    await deadLetter(deps, mail, OUTDATED_MAIL);
    return;
  }
  if (composed === 'unwanted') {
    // The mail counts as sent, so that only the owner of the mailbox knows that it is suppressed (S-44).
    deps.metrics.mails.inc({ outcome: 'unwanted' });
    await deps.db.tx((tx) => updateMailSent(tx, mail, now));
    return;
  }
  const delivery = await composed();
  deps.metrics.mails.inc({ outcome: delivery.kind });
  if (delivery.kind === 'accepted') {
    await deps.db.tx((tx) => updateMailSent(tx, mail, deps.clock()));
  } else if (delivery.kind === 'refused') {
    await deadLetter(deps, mail, delivery.reason);
  } else {
    const pauseMax = delivery.kind === 'unreachable' ? UNREACHABLE_PAUSE_MAX_MS : Infinity;
    const pause = PAUSES_MS[Math.min(mail.tries, PAUSES_MS.length) - 1]!;
    const nextAt = deps.clock() + Math.min(pause, pauseMax);
    if (nextAt >= mail.giveUpAt) return deadLetter(deps, mail, delivery.reason);
    deps.log.warn({ mail: mail.id, tries: mail.tries, reason: delivery.reason }, 'mail delayed');
    await deps.db.tx((tx) => updateMailDelayed(tx, mail, nextAt, delivery.reason));
  }
}

async function deadLetter(deps: Deps, mail: OutboxRow, reason: string): Promise<void> {
  deps.log.warn({ mail: mail.id, tries: mail.tries, reason }, 'mail given up');
  await useCase(deps, localOrigin('outbox'), {}, async (work) => {
    if ((await updateMailDead(work.tx, mail, reason, work.now)) !== 1) return;
    await recordEvent(work, { kind: 'mail.dead', subject: mail.id, details: { reason } });
  });
}

/** Counts the mails that wait to be sent. @returns `oldest`: when the oldest of them was created, epoch ms */
export function countOutboxBacklog(
  deps: Pick<Deps, 'db'>,
): Promise<{ waiting: number; oldest: number | null }> {
  return countWaitingMail(deps.db);
}
