import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/load.ts';
import { DatabaseError } from '../../errors.ts';
import type { Db } from './db.ts';
import { migrate } from './migrate.ts';
import { explainOpenError, type ServiceLock } from './open-error.ts';
import { lockPostgres } from './postgres/lock.ts';
import { openPostgres } from './postgres/postgres.ts';
import { lockFile } from './sqlite/lock.ts';
import { openSqlite } from './sqlite/sqlite.ts';

const RETRY_MS = 500;

/** How a starting service waits for its database. */
export interface StartupWait {
  timeoutMs: number;
  /** Called before each wait with the reason. */
  onWait(reason: DatabaseError): void;
}

/**
 * Opens the configured database; creates a SQLite file that does not exist.
 *
 * @param onBroken called when the database is damaged: the process should end rather than return wrong data
 * @throws DatabaseError naming DATABASE_URL where the database cannot be used
 */
export async function openDatabase(
  database: Config['database'],
  onBroken: (cause: unknown) => void,
): Promise<Db> {
  try {
    return await (database.kind === 'sqlite' ? openSqlite(database.file, onBroken) : openPostgres(database));
  } catch (error) {
    throw explainOpenError(database, error);
  }
}

/**
 * Opens the configured database and applies pending migrations. While it is open, no restore can replace it.
 *
 * @param onBroken as for openDatabase(), from the moment the database is open
 * @param wait how long to wait for a server that is still starting: containers start in any order
 * @returns the database, and the names of the migrations that were applied
 * @throws DatabaseError naming DATABASE_URL where the database cannot be used
 */
export async function openMigrated(
  database: Config['database'],
  onBroken: (cause: unknown) => void,
  wait: StartupWait = { timeoutMs: 0, onWait() {} },
): Promise<{ db: Db; applied: string[] }> {
  const giveUpAt = performance.now() + wait.timeoutMs;
  for (;;) {
    try {
      return await openAndMigrate(database, onBroken);
    } catch (error) {
      const isTemporary = error instanceof DatabaseError && error.isPassing;
      if (!isTemporary || performance.now() + RETRY_MS > giveUpAt) throw error;
      wait.onWait(error);
      await sleep(RETRY_MS);
    }
  }
}

async function openAndMigrate(
  database: Config['database'],
  onBroken: (cause: unknown) => void,
): Promise<{ db: Db; applied: string[] }> {
  // Damage that is found before the database is open is thrown, not passed to onBroken, which would end the process.
  let isOpen = false;
  const onBrokenWhenOpen = (cause: unknown) => {
    if (isOpen) onBroken(cause);
  };
  let lock: ServiceLock | undefined;
  let db: Db | undefined;
  const close = async () => {
    await db?.close();
    await lock?.release();
  };
  try {
    lock =
      database.kind === 'sqlite' ? lockFile(database.file) : await lockPostgres(database, onBrokenWhenOpen);
    db = await openDatabase(database, onBrokenWhenOpen);
    const applied = await migrate(db, await db.now());
    isOpen = true;
    return { db: { ...db, close }, applied };
  } catch (error) {
    await close();
    throw explainOpenError(database, error);
  }
}
