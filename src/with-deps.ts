import type { Config } from './config/load.ts';
import type { Deps } from './deps.ts';
import { createDatabaseClock } from './domain/jobs/database-clock.ts';
import { ConfigError } from './errors.ts';
import { createCallApi } from './lib/call-api.ts';
import { systemClock } from './lib/clock.ts';
import { createKeyring, type Keyring } from './lib/keyring.ts';
import { createLog } from './lib/log.ts';
import { createMetrics } from './lib/metrics.ts';
import { createProviderDocuments } from './lib/provider-documents.ts';
import { systemRandom } from './lib/random.ts';
import { createSafeFetch } from './lib/safe-fetch.ts';
import { createStrangerFetch } from './lib/stranger-fetch.ts';
import { createTranslators } from './lib/translate.ts';
import type { DevMailbox } from './mail/dev-mailbox.ts';
import { createMailer } from './mail/mailer.ts';
import type { Db } from './store/engine/db.ts';
import { openMigrated } from './store/engine/open.ts';

/**
 * Creates the dependencies of the use cases. The keyring is created at its first use, since commands that need no
 * secret run without one.
 *
 * @param provided the dependencies that the caller has created
 * @param devMailbox receives mail when `SMTP_URL` is not set; undefined: such mail is dropped
 * @throws ConfigError by `keyring`, when there is no SECRET
 */
export function createDeps(
  config: Config,
  provided: Pick<
    Deps,
    'db' | 'clock' | 'log' | 'wakeOutbox' | 'noteKeyUse' | 'noteAgentUse' | 'noteResourceServer'
  >,
  devMailbox?: DevMailbox,
): Deps {
  let keyring: Keyring | undefined;
  const translators = createTranslators();
  const safeFetch = createSafeFetch();
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
    mailer: createMailer(config, translators, devMailbox),
    translators,
    metrics: createMetrics(),
    callApi: createCallApi(),
    providerDocuments: createProviderDocuments(safeFetch, provided.clock, config.isLoopback),
    fetchFromStranger: createStrangerFetch(safeFetch),
    ...provided,
  };
}

/** Stands in for the workers of a service, which a command does not run. */
const NO_WORKERS = { wakeOutbox() {}, noteKeyUse() {}, noteAgentUse() {}, noteResourceServer() {} };

/**
 * Runs a command with the dependencies of the service, without its listeners and workers. Opens and migrates the
 * database first, and closes it afterwards. A damaged database ends the process with exit code 1.
 *
 * @param work receives the names of the migrations that were applied
 * @throws DatabaseError naming DATABASE_URL, when the database cannot be opened or migrated
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

/** Runs a command on a database that is already open, and leaves it open. */
export async function onDatabase(config: Config, db: Db, work: (deps: Deps) => Promise<void>): Promise<void> {
  const { clock, stop } = await createDatabaseClock(db, systemClock);
  try {
    await work(createDeps(config, { db, clock, log: createLog('warn'), ...NO_WORKERS }));
  } finally {
    stop();
  }
}
