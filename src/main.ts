import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from './app.ts';
import type { Config } from './config/load.ts';
import type { Deps } from './deps.ts';
import { createDatabaseClock, type DatabaseClock } from './domain/jobs/database-clock.ts';
import { loadProvider } from './http/oauth/provider/call-provider.ts';
import { createOpsServer } from './http/ops.ts';
import { limitConnections } from './http/server/connections.ts';
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
  /** The port of the public listener. */
  port: number;
  /** The port of the operator's listener: /metrics, /livez, /readyz. */
  opsPort: number;
  deps: Deps;
  /**
   * Shuts the service down. /readyz answers 503 at once, and the service accepts requests for another `delayMs`.
   * Then it accepts no new connections, finishes open requests within 10 s, lets its workers finish their current work,
   * and closes the database.
   */
  stop(delayMs?: number): Promise<void>;
}

/** Replacements for clock, log, database and timings, for tests. */
export interface TestOverrides {
  clock?: Clock;
  log?: Log;
  wrapDb?: (db: Db) => Db;
  onFileGone?: (cause: unknown) => void;
  watchFileMs?: number;
  drainTimes?: DrainTimes;
}

/** How long after its start the service loads what authorization needs, unless a request needs it before. */
const LOAD_PROVIDER_MS = 2000;

/**
 * Starts the service: opens and migrates the database, starts the workers and listens on both ports. A damaged
 * database ends the process with exit code 70.
 *
 * @throws ConfigError, DatabaseError naming the setting that cannot be used; Error of a mail template that does not
 * render
 */
export async function startService(config: Config, overrides: TestOverrides = {}): Promise<RunningService> {
  const log = overrides.log ?? createLog(config.logLevel);
  if (config.templatesDir !== undefined) checkMails(config, systemClock());
  const endDamaged = (cause: unknown) => {
    log.fatal({ err: cause }, 'the database is damaged; ending rather than answering wrongly');
    log.flush();
    process.exit(70);
  };
  const { db: opened } = await openMigrated(config.database, endDamaged, {
    timeoutMs: config.startupTimeoutMs,
    onWait: (reason) => log.warn({ reason: reason.message }, 'waiting for the database'),
  });
  const fileWatch =
    config.database.kind === 'sqlite'
      ? watchDatabaseFile(config.database.file, overrides.onFileGone ?? endDamaged, overrides.watchFileMs)
      : undefined;
  const db = overrides.wrapDb?.(opened) ?? opened;
  const sharedClock = overrides.clock === undefined ? await startSharedClock(db, log) : undefined;
  const clock = overrides.clock ?? sharedClock!.clock;

  const devMailbox = config.smtpUrl === undefined && config.isLoopback ? createDevMailbox(clock) : undefined;
  const lastUsed = startLastUsedWriter({ db, log });
  const wakeOutbox = () => outbox.wake();
  const feed = createRevocationFeedHub({ db, clock, log });
  const { noteKeyUse, noteAgentUse, noteResourceServer } = lastUsed;
  const created = { db, clock, log, wakeOutbox, noteKeyUse, noteAgentUse, noteResourceServer };
  const deps = createDeps(config, created, devMailbox);
  const outbox = startOutboxWorker(deps);
  const secretMarks = await startSecretMarkWriter(deps);
  const scheduler = startScheduler(deps, sharedClock?.mayDelete ?? (() => true));

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
  // Connection timeouts need a clock that cannot step. Tests move theirs by hand.
  const now = overrides.clock ?? (() => performance.now());
  const onClosed = (reason: string) => log.debug({ reason }, 'connection closed');
  // Behind a proxy all connections come from the proxy's address.
  const perAddress = config.trustProxy === 0 ? config.connectionsPerAddress : undefined;
  limitConnections(server, { perAddress, now, onClosed });
  limitConnections(ops, { perAddress: undefined, now, onClosed });

  let loading: NodeJS.Timeout | undefined;
  async function stop(delayMs = 0): Promise<void> {
    draining = true;
    clearTimeout(loading);
    if (delayMs > 0) await sleep(delayMs);
    feed.stop(); // ends the feed streams, for which the drain would wait until its deadline
    await drain(drainTimes);
    await Promise.all([outbox.stop(), scheduler.stop(), lastUsed.stop(), secretMarks.stop()]);
    sharedClock?.stop();
    fileWatch?.stop();
    deps.mailer.close();
    await db.close();
    await drainOps({ ...drainTimes, idleMs: 0 });
    log.flush();
  }

  try {
    await listen(server, config.port, config.host, '');
    await listen(ops, config.opsPort, config.opsHost, 'OPS_');
    loading = setTimeout(() => void loadProvider(), LOAD_PROVIDER_MS);
  } catch (error) {
    await stop(); // with only one of the two listeners the service must not run
    throw error;
  }
  return {
    port: (server.address() as AddressInfo).port,
    opsPort: (ops.address() as AddressInfo).port,
    deps,
    stop,
  };
}

function startSharedClock(db: Db, log: Log): Promise<DatabaseClock> {
  return createDatabaseClock(db, systemClock, {
    onSet: (byMs) => log.warn({ byMs }, 'time was set: the clock has shown another time for ten minutes'),
  });
}
