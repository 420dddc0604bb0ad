/**
 * A process that serves several services at once, each on a database of its own, for tests that kill it. Its parent can have a
 * service stop dead at the n-th step of what it does next; the parent then kills the whole process, as a power cut would.
 *
 * Run by startCrashing() in crashing.ts; talks to it over the process channel.
 */
import { createLog } from '../../src/lib/log.ts';
import { startService } from '../../src/main.ts';
import type { Db } from '../../src/store/engine/db.ts';
import { configFor, type FromChild, type ToChild } from './crashing.ts';

const send = (message: FromChild) => process.send!(message);
const AT_ONCE = 6;
const never = new Promise<never>(() => {});

/** Where each service is to stop: at the step of that number, counted from when it was told; none: nowhere. */
const stopAt: (number | undefined)[] = [];

process.on('message', async (message: ToChild) => {
  if (message.kind === 'arm') {
    stopAt[message.service] = message.step;
    return send({ kind: 'armed', service: message.service });
  }
  const log = createLog('silent');
  const clock = () => Date.now() + message.aheadMs;
  const services: Awaited<ReturnType<typeof startService>>[] = [];
  // A few at a time: a database server that is asked for all their connections at once refuses some.
  while (services.length < message.databases.length) {
    const start = services.length;
    const some = message.databases.slice(start, start + AT_ONCE);
    const started = some.map((url, index) =>
      startService(configFor(url), { log, clock, wrapDb: (db) => stopping(db, start + index) }),
    );
    services.push(...(await Promise.all(started)));
  }
  send({ kind: 'ready', urls: services.map(({ port }) => `http://localhost:${port}`) });
});
process.on('disconnect', () => process.exit());

const WRITTEN_BY_WORKERS =
  /^(UPDATE (outbox|credentials SET last_used_at|agents SET seen_at.* AND \(seen_at IS NULL)|INSERT INTO (job_marks|agent_days))/;

/** Counts as steps: every statement of a request's transactions, before it runs; before each commit; after each commit. */
function stopping(db: Db, service: number): Db {
  async function step(what: string): Promise<void> {
    const left = stopAt[service];
    if (left === undefined) return;
    stopAt[service] = left - 1;
    if (left > 1) return;
    send({ kind: 'stopped', service, before: what });
    await never;
  }
  return {
    ...db,
    async tx(work) {
      let counts = true;
      const result = await db.tx(async (tx) => {
        let isFirst = true;
        const before = async (sql: string) => {
          // Workers and jobs write whenever they like; only what the request does is counted.
          if (isFirst) counts = !WRITTEN_BY_WORKERS.test(sql);
          isFirst = false;
          if (counts) await step(sql.trim().replace(/\s+/g, ' ').slice(0, 60));
        };
        const done = await work({
          get: async (sql, params) => {
            await before(sql);
            return tx.get(sql, params);
          },
          all: async (sql, params) => {
            await before(sql);
            return tx.all(sql, params);
          },
          run: async (sql, params) => {
            await before(sql);
            return tx.run(sql, params);
          },
        });
        if (counts) await step('commit');
        return done;
      });
      if (counts) await step('answer');
      return result;
    },
  };
}
