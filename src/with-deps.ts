import type { Config } from './config/load.ts';
import type { Deps } from './deps.ts';
import { databaseClock } from './domain/jobs/database-clock.ts';
import { ConfigError } from './errors.ts';
import { createCallApi } from './lib/call-api.ts';
import { systemClock } from './lib/clock.ts';
import { createKeyring, type Keyring } from './lib/keyring.ts';
import { createLog } from './lib/log.ts';
import { createMetrics } from './lib/metrics.ts';
import { createProviderDocuments } from './lib/provider-documents.ts';
import { systemRandom } from './lib/random.ts';
import { createSafeFetch } from './lib/safe-fetch.ts';
import type { DevMailbox } from './mail/dev-mailbox.ts';
import { createMailer } from './mail/mailer.ts';
import type { Db } from './store/engine/db.ts';
import { openMigrated } from './store/engine/open.ts';

/** Makes the dependencies of the use cases. @param own those that the caller has made already */
export function createDeps(
  config: Config,
  own: Pick<Deps, 'db' | 'clock' | 'log' | 'wakeOutbox' | 'touchKey'>,
  devMailbox?: DevMailbox,
): Deps {
  let keyring: Keyring | undefined;
  return {
    config,
    random: systemRandom,
    get keyring() {
      if (config.secrets.length === 0) {
        throw new ConfigError(
          'SECRET: there is none yet. The first "vouchsafe serve" makes one on this machine, or set it.',
        );
      }
      keyring ??= createKeyring(config.secrets, systemRandom);
      return keyring;
    },
    mailer: createMailer(config, devMailbox),
    metrics: createMetrics(),
    callApi: createCallApi(),
    trust: createProviderDocuments(createSafeFetch(), own.clock, config.isLoopback),
    ...own,
  };
}

/** What runs beside a service and is not there for a command. */
const NOTHING = { wakeOutbox() {}, touchKey() {} };

/**
 * What commands need of the world: the service without its listeners and workers, on a database brought up to date.
 *
 * @param work is told the names of the migrations that were applied for it
 */
export async function withDeps(
  config: Config,
  work: (deps: Deps, applied: string[]) => Promise<void>,
): Promise<void> {
  const { db, applied } = await openMigrated(config.database, (cause) => {
    console.error('The database is damaged:', cause instanceof Error ? cause.message : cause);
    process.exit(1);
  });
  try {
    await onDatabase(config, db, (deps) => work(deps, applied));
  } finally {
    await db.close();
  }
}

/** The same on a database that is open; it stays so. */
export async function onDatabase(config: Config, db: Db, work: (deps: Deps) => Promise<void>): Promise<void> {
  const { clock, stop } = await databaseClock(db, systemClock);
  try {
    await work(createDeps(config, { db, clock, log: createLog('warn'), ...NOTHING }));
  } finally {
    stop();
  }
}
