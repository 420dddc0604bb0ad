import type { Deps } from '../deps.ts';
import { sendNextMail } from '../domain/mail/deliver.ts';

/** Sends the due mails of the outbox: at once after wake(), otherwise every few seconds. */
export interface OutboxWorker {
  /** Starts to send now: a mail was committed. */
  wake(): void;
  /** Takes no further mail, and resolves when the mails being sent are done. */
  stop(): Promise<void>;
}

/** How many mails one process sends at once. */
const WORKERS = 4;

const POLL_MS = 2000;

/** Starts the outbox worker of this process. Any number of processes may run one on the same database. */
export function startOutboxWorker(deps: Deps): OutboxWorker {
  let isStopped = false;
  let running = 0;
  const active = new Set<Promise<void>>();

  async function run(): Promise<void> {
    try {
      while (!isStopped && (await sendNextMail(deps)));
    } catch (error) {
      // The database is unavailable: the mail stays in the outbox, and a later run sends it.
      deps.log.warn({ err: error }, 'the outbox could not be worked on');
    } finally {
      running -= 1;
    }
  }

  function wake(): void {
    if (isStopped || running >= WORKERS) return;
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
      isStopped = true;
      clearInterval(timer);
      await Promise.all(active);
    },
  };
}
