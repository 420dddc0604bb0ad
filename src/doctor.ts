import { type Config, loadConfig } from './config/load.ts';
import { canOpenAllSecretMarks, UNREADABLE_SECRET_MESSAGE } from './domain/codes/secret-marks.ts';
import { ConfigError, DatabaseError } from './errors.ts';
import { causeMessage } from './lib/cause-message.ts';
import { systemClock } from './lib/clock.ts';
import { createKeyring } from './lib/keyring.ts';
import { createProviderDocuments } from './lib/provider-documents.ts';
import { systemRandom } from './lib/random.ts';
import { createSafeFetch } from './lib/safe-fetch.ts';
import { createTranslators } from './lib/translate.ts';
import { createMailer } from './mail/mailer.ts';
import { missingFile } from './store/engine/database-file.ts';
import type { Db } from './store/engine/db.ts';
import { pendingMigrations } from './store/engine/migrate.ts';
import { openDatabase } from './store/engine/open.ts';

/** The result of one check. */
export interface Finding {
  name: 'configuration' | 'database' | 'mail' | 'clock' | 'secret' | 'provider';
  ok: boolean;
  says: string;
}

const SKEW_MAX_MS = 2000;

/**
 * Checks everything that the service needs from outside: settings, database, clock, secrets, mail server and the key
 * sets of agent providers. It applies no migration and writes no row.
 *
 * @param env the environment variables
 * @returns the findings; `configuration` is the only one when the settings cannot be loaded
 */
export async function runChecks(env: Record<string, string | undefined>): Promise<Finding[]> {
  let config: Config;
  try {
    config = loadConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [{ name: 'configuration', ok: false, says: error.message }];
  }
  const configuration: Finding = {
    name: 'configuration',
    ok: true,
    says: `serves as ${config.publicUrl}`,
  };
  return [
    configuration,
    ...(await checkDatabase(config)),
    await checkMail(config),
    ...(await checkProviders(config)),
  ];
}

async function checkDatabase(config: Config): Promise<Finding[]> {
  const missing = missingFile(config.database);
  if (missing !== undefined) {
    return [{ name: 'database', ok: true, says: `sqlite, ${missing} is made by the first start` }];
  }
  try {
    const db = await openDatabase(config.database, () => {});
    try {
      const pending = await pendingMigrations(db);
      const migrations =
        pending === 0 ? 'answers, up to date' : `answers; ${pending} migrations to apply at start`;
      const before = Date.now();
      const skew = Math.round((await db.now()) - (before + Date.now()) / 2);
      const isInSync = Math.abs(skew) <= SKEW_MAX_MS;
      return [
        { name: 'database', ok: true, says: `${db.engine}, ${migrations}` },
        {
          name: 'clock',
          ok: isInSync,
          says: isInSync
            ? 'this machine and the database agree'
            : `this machine is ${-skew} ms ahead of the database; the database's time counts`,
        },
        ...(pending === 0 ? await checkSecret(config, db) : []),
      ];
    } finally {
      await db.close();
    }
  } catch (error) {
    return [
      {
        name: 'database',
        ok: false,
        says: error instanceof DatabaseError ? error.message : causeMessage(error),
      },
    ];
  }
}

async function checkSecret(config: Config, db: Db): Promise<Finding[]> {
  if (config.secrets.length === 0) return [];
  const keyring = createKeyring(config.secrets, systemRandom);
  const ok = await canOpenAllSecretMarks(keyring, db, await db.now());
  return ok ? [] : [{ name: 'secret', ok, says: `SECRET: ${UNREADABLE_SECRET_MESSAGE}` }];
}

async function checkMail(config: Config): Promise<Finding> {
  if (config.smtpUrl === undefined) {
    return { name: 'mail', ok: true, says: 'no SMTP_URL: mail is caught in the development mailbox' };
  }
  const mailer = createMailer(config, createTranslators(), undefined);
  const error = await mailer.check();
  mailer.close();
  return error === undefined
    ? { name: 'mail', ok: true, says: `the server lets us in; mail comes from ${config.mailFrom}` }
    : { name: 'mail', ok: false, says: `SMTP_URL: ${causeMessage(error)}` };
}

/** Fetches the key set of each trusted issuer. */
function checkProviders(config: Config): Promise<Finding[]> {
  const { keysOf } = createProviderDocuments(createSafeFetch(), systemClock, config.isLoopback);
  return Promise.all(
    [...config.trustedIssuers.values()].map(async (issuer): Promise<Finding> => {
      try {
        // Any `kid` makes keyFor() fetch the key set; it throws when that fails.
        await keysOf(issuer).keyFor({ kid: 'doctor' });
        return { name: 'provider', ok: true, says: `${issuer.issuer} publishes its keys` };
      } catch (error) {
        return { name: 'provider', ok: false, says: `${issuer.jwksUri}: ${causeMessage(error)}` };
      }
    }),
  );
}
