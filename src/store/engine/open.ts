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

/** How a start waits for its database. */
export interface StartupWait {
  timeoutMs: number;
  /** Told each time why it is not there yet. */
  onWait(reason: DatabaseError): void;
}

/**
 * Opens the configured database; creates a SQLite file where there is none.
 *
 * @param onBroken called when the database is damaged and the process should end rather than lie
 * @throws DatabaseError naming DATABASE_URL where it cannot be used
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
 * Opens the configured database and brings it up to date. As long as it is open, none can be restored in its place.
 *
 * @param wait how long it may take until a server that is still starting is there: containers start in any order
 * @returns it, and the names of the migrations that were applied
 * @throws DatabaseError naming DATABASE_URL where it cannot be used
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
      const mayCome = error instanceof DatabaseError && error.isPassing;
      if (!mayCome || performance.now() + RETRY_MS > giveUpAt) throw error;
      wait.onWait(error);
      await sleep(RETRY_MS);
    }
  }
}

async function openAndMigrate(
  database: Config['database'],
  onBroken: (cause: unknown) => void,
): Promise<{ db: Db; applied: string[] }> {
  // Until it is open, what is broken is a sentence and no crash.
  let isOpen = false;
  const whenOpen = (cause: unknown) => {
    if (isOpen) onBroken(cause);
  };
  let lock: ServiceLock | undefined;
  let db: Db | undefined;
  const close = async () => {
    await db?.close();
    await lock?.release();
  };
  try {
    lock = database.kind === 'sqlite' ? lockFile(database.file) : await lockPostgres(database, whenOpen);
    db = await openDatabase(database, whenOpen);
    const applied = await migrate(db, await db.now());
    isOpen = true;
    return { db: { ...db, close }, applied };
  } catch (error) {
    await close();
    throw explainOpenError(database, error);
  }
}
