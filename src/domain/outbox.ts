import type { Deps } from '../deps.ts';
import {
  leaseMail,
  listDue,
  markDead,
  markSent,
  type OutboxRow,
  outboxBacklog,
  retryMail,
} from '../store/outbox.ts';
import { localAsker, record } from './events.ts';
import { write } from './letters.ts';

/** What happened when a mail was handed over. */
export type Delivery =
  | { kind: 'accepted' }
  /** The server will not take it, now or later (5xx). */
  | { kind: 'refused'; reason: string }
  /** Perhaps later (4xx, no answer). */
  | { kind: 'delayed'; reason: string }
  /** The server cannot be reached: no mail got as far as it. */
  | { kind: 'unreachable'; reason: string };

/**
 * What in a mail proves that it was read: six digits, or where those are guessed at too much a link that approves; or the link
 * to the page on which the code is shown.
 */
export type MailedProof =
  | { kind: 'code'; code: string }
  | { kind: 'link'; approveUrl: string }
  | { kind: 'page'; pageUrl: string };

/** One attempt at a mail may last so long; a worker that died is waited for a little longer. */
export const SEND_DEADLINE_MS = 15_000;
const LEASE_MS = 2 * SEND_DEADLINE_MS;
/** Pauses before the second, third, … try; the last one repeats. */
const PAUSES_MS = [30, 120, 300, 900, 1800, 3600].map((seconds) => seconds * 1000);
/** A server that is away knows of no tries, so it is asked more often: a minute after its return mails flow. */
const UNREACHABLE_PAUSE_MAX_MS = 60_000;

const asker = () => localAsker('outbox');

/**
 * Sends one mail that is due, if there is one that no other worker has taken.
 *
 * @returns whether there was one: the caller asks again until there is none
 */
export async function sendNext(deps: Deps): Promise<boolean> {
  const now = deps.clock();
  for (const { id } of await listDue(deps.db, now, 10)) {
    const mail = await deps.db.tx((tx) => leaseMail(tx, id, now, now + LEASE_MS));
    if (mail === undefined) continue;
    await deliver(deps, mail);
    return true;
  }
  return false;
}

async function deliver(deps: Deps, mail: OutboxRow): Promise<void> {
  const letter = await write(deps, mail);
  const now = deps.clock();
  if (letter === 'over' || mail.giveUpAt <= now) {
    await bury(deps, mail, 'its code was of no use any more before the mail could leave');
    return;
  }
  if (letter === 'unwanted') {
    // To all but the owner of the mailbox it looks as if it had left (S-44).
    deps.metrics.mails.inc({ outcome: 'unwanted' });
    await deps.db.tx((tx) => markSent(tx, mail, now));
    return;
  }
  const delivery = await letter();
  deps.metrics.mails.inc({ outcome: delivery.kind });
  if (delivery.kind === 'accepted') {
    await deps.db.tx((tx) => markSent(tx, mail, deps.clock()));
  } else if (delivery.kind === 'refused') {
    await bury(deps, mail, delivery.reason);
  } else {
    const pauseMax = delivery.kind === 'unreachable' ? UNREACHABLE_PAUSE_MAX_MS : Infinity;
    const pause = PAUSES_MS[Math.min(mail.tries, PAUSES_MS.length) - 1]!;
    const nextAt = deps.clock() + Math.min(pause, pauseMax);
    if (nextAt >= mail.giveUpAt) return bury(deps, mail, delivery.reason);
    deps.log.warn({ mail: mail.id, tries: mail.tries, reason: delivery.reason }, 'mail delayed');
    await deps.db.tx((tx) => retryMail(tx, mail, nextAt, delivery.reason));
  }
}

async function bury(deps: Deps, mail: OutboxRow, reason: string): Promise<void> {
  const now = deps.clock();
  deps.log.warn({ mail: mail.id, tries: mail.tries, reason }, 'mail given up');
  await deps.db.tx(async (tx) => {
    if ((await markDead(tx, mail, reason, now)) !== 1) return;
    await record(tx, deps, asker(), now, { kind: 'mail.dead', subject: mail.id, details: { reason } });
  });
}

/** A worker that sends what is due: at once when woken, else every few seconds. */
export interface OutboxWorker {
  wake(): void;
  /** Takes no new mail, and resolves when those under way are done. */
  stop(): Promise<void>;
}

const WORKERS = 4;
const POLL_MS = 2000;

/** Starts the worker of this process. Any number of processes may run one on the same database. */
export function startOutbox(deps: Deps): OutboxWorker {
  let stopped = false;
  let running = 0;
  const active = new Set<Promise<void>>();

  async function run(): Promise<void> {
    try {
      while (!stopped && (await sendNext(deps)));
    } catch (error) {
      // The database is away: the mail stays where it is and is taken up at the next turn.
      deps.log.warn({ err: error }, 'the outbox could not be worked on');
    } finally {
      running -= 1;
    }
  }

  function wake(): void {
    if (stopped || running >= WORKERS) return;
    running += 1;
    const worker = run();
    active.add(worker);
    void worker.finally(() => active.delete(worker));
  }

  const timer = setInterval(wake, POLL_MS);
  timer.unref();
  wake();
  return {
    wake,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await Promise.all(active);
    },
  };
}

/** How many mails wait and since when the oldest does, for the metrics. */
export function backlog(deps: Pick<Deps, 'db'>): Promise<{ waiting: number; oldest: number | null }> {
  return outboxBacklog(deps.db);
}

/** The Message-ID of a mail: the same at every try, so that a duplicate is known as one. */
export function messageId(mailId: string, publicUrl: string): string {
  return `<${mailId}@${new URL(publicUrl).hostname}>`;
}
