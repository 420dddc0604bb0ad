import type { Clock } from '../lib/clock.ts';
import type { Db } from './db.ts';

const RESYNC_MS = 15_000;

/**
 * The clock that all replicas of a database share: on PostgreSQL the server's time, carried on between looks by the monotonic
 * clock, so that neither a skewed nor a jumping host revives or ends anything. A SQLite file has one host, whose own
 * clock it is.
 */
export async function databaseClock(db: Db, system: Clock): Promise<{ clock: Clock; stop(): void }> {
  if (db.engine === 'sqlite') return { clock: system, stop() {} };

  let origin = 0; // database time at monotonic zero
  async function synchronise(): Promise<void> {
    const before = performance.now();
    const there = await db.now();
    origin = there - (before + performance.now()) / 2;
  }
  await synchronise();
  const timer = setInterval(() => void synchronise().catch(() => {}), RESYNC_MS);
  timer.unref();
  return { clock: () => Math.round(origin + performance.now()), stop: () => clearInterval(timer) };
}
