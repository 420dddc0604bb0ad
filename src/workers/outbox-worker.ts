import type { Deps } from '../deps.ts';
import { sendNext } from '../domain/mail/deliver.ts';

/** Sends what waits in the outbox, as long as the service runs. */

/** A worker that sends what is due: at once when woken, else every few seconds. */
export interface OutboxWorker {
  wake(): void;
  /** Takes no new mail, and resolves when those under way are done. */
  stop(): Promise<void>;
}

const WORKERS = 4;

const POLL_MS = 2000;

/** Starts the worker of this process. Any number of processes may run one on the same database. */
export function startOutboxWorker(deps: Deps): OutboxWorker {
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
