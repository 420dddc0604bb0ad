import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from './app.ts';
import type { Config } from './config/load.ts';
import type { Deps } from './deps.ts';
import { type DatabaseClock, databaseClock } from './domain/jobs/database-clock.ts';
import { createOpsServer } from './http/ops.ts';
import { boundConnections } from './http/server/connections.ts';
import { hasPlainCookies } from './http/server/cookies.ts';
import { createDrain, DRAIN_TIMES, type DrainTimes } from './http/server/drain.ts';
import { listen } from './http/server/listen.ts';
import { createPublicServer } from './http/server/public-server.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import { createLog, type Log } from './lib/log.ts';
import { createDevMailbox } from './mail/dev-mailbox.ts';
import { checkMails } from './mail/preview.ts';
import { watchDatabaseFile } from './store/engine/database-file.ts';
import type { Db } from './store/engine/db.ts';
import { openMigrated } from './store/engine/open.ts';
import { createDeps } from './with-deps.ts';
import { startLastUsedWriter } from './workers/last-used-writer.ts';
import { startOutboxWorker } from './workers/outbox-worker.ts';
import { createRevocationFeedHub } from './workers/revocation-feed-hub.ts';
import { startScheduler } from './workers/scheduler.ts';
import { startSecretMarkWriter } from './workers/secret-mark-writer.ts';
/** A running service. */
export interface RunningService {
  /** Where it listens. */
  port: number;
  opsPort: number;
  deps: Deps;
  /**
   * Says at /readyz that it is shutting down and goes on serving for `delayMs`; then takes no new connections, finishes what is
   * under way (10 s at most), hands over what is in work, and closes.
   */
  stop(delayMs?: number): Promise<void>;
}

/** What tests put in the place of the real world. */
export interface Overrides {
  clock?: Clock;
  log?: Log;
  wrapDb?: (db: Db) => Db;
  onFileGone?: (cause: unknown) => void;
  watchFileMs?: number;
  drainTimes?: DrainTimes;
}

/** Opens the database, brings it up to date and serves until stopped. */
export async function startService(config: Config, overrides: Overrides = {}): Promise<RunningService> {
  const log = overrides.log ?? createLog(config.logLevel);
  if (config.templatesDir !== undefined) checkMails(config, systemClock());
  const onBroken = (cause: unknown) => {
    log.fatal({ err: cause }, 'the database is damaged; ending rather than answering wrongly');
    log.flush();
    process.exit(70);
  };
  const { db: opened } = await openMigrated(config.database, onBroken, {
    timeoutMs: config.startupTimeoutMs,
    onWait: (reason) => log.warn({ reason: reason.message }, 'waiting for the database'),
  });
  const file =
    config.database.kind === 'sqlite'
      ? watchDatabaseFile(config.database.file, overrides.onFileGone ?? onBroken, overrides.watchFileMs)
      : undefined;
  const db = overrides.wrapDb?.(opened) ?? opened;
  const ticking = overrides.clock === undefined ? await startClock(db, log) : undefined;
  const clock = overrides.clock ?? ticking!.clock;

  const devMailbox = config.smtpUrl === undefined && config.isLoopback ? createDevMailbox(clock) : undefined;
  const usage = startLastUsedWriter({ db, log });
  const wakeOutbox = () => outbox.wake();
  const feed = createRevocationFeedHub({ db, clock, log });
  const own = { db, clock, log, wakeOutbox, touchKey: usage.touch };
  const deps = createDeps(config, own, devMailbox);
  const outbox = startOutboxWorker(deps);
  const secretMarks = await startSecretMarkWriter(deps);
  const scheduler = startScheduler(deps, ticking?.mayDelete ?? (() => true));

  if (hasPlainCookies(config)) {
    log.info('cookies of the pages go without Secure, for this machine alone: PUBLIC_URL is http');
  }
  let draining = false;
  const isDraining = () => draining;
  const { server, connections } = createPublicServer(
    createApp(deps, { devMailbox, follow: feed.follow, isDraining }).callback(),
    config,
  );
  const { server: ops, connections: opsConnections } = createOpsServer(deps, isDraining);
  const drain = createDrain(server, connections);
  const drainOps = createDrain(ops, opsConnections);
  const drainTimes = overrides.drainTimes ?? DRAIN_TIMES;
  // The service's own clock can step; only tests move one by hand.
  const now = overrides.clock ?? (() => performance.now());
  const onClosed = (reason: string) => log.debug({ reason }, 'connection closed');
  // Behind a proxy all connections come from one address.
  const perAddress = config.trustProxy === 0 ? config.connectionsPerAddress : undefined;
  boundConnections(server, { perAddress, now, onClosed });
  boundConnections(ops, { perAddress: undefined, now, onClosed });

  async function stop(delayMs = 0): Promise<void> {
    draining = true;
    if (delayMs > 0) await sleep(delayMs);
    feed.stop(); // ends the streams, which would never end by themselves
    await drain(drainTimes);
    await Promise.all([outbox.stop(), scheduler.stop(), usage.stop(), secretMarks.stop()]);
    ticking?.stop();
    file?.stop();
    deps.mailer.close();
    await db.close();
    await drainOps({ ...drainTimes, idleMs: 0 });
    log.flush();
  }

  try {
    await listen(server, config.port, config.host, '');
    await listen(ops, config.opsPort, config.opsHost, 'OPS_');
  } catch (error) {
    await stop(); // a port is taken: half a service is none
    throw error;
  }
  return {
    port: (server.address() as AddressInfo).port,
    opsPort: (ops.address() as AddressInfo).port,
    deps,
    stop,
  };
}

function startClock(db: Db, log: Log): Promise<DatabaseClock> {
  return databaseClock(db, systemClock, {
    onSet: (byMs) => log.warn({ byMs }, 'time was set: the clock has shown another time for ten minutes'),
  });
}
