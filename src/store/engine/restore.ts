import { existsSync } from 'node:fs';
import type { Config } from '../../config/load.ts';
import { DatabaseError } from '../../errors.ts';
import type { Db } from './db.ts';
import { explainOpenError } from './open-error.ts';
import { restorePostgres } from './postgres/copy.ts';
import { restoreSqlite } from './sqlite/copy.ts';

/**
 * Replaces the configured database by a backup. Whenever an error or a kill ends the restore, the database is either
 * the old one or the new one, and complete.
 *
 * @param work runs on the restored and migrated database before it replaces the old one; if it throws, nothing changes
 * @returns the path to which the old SQLite database was moved; undefined: there was none, or the engine is PostgreSQL
 * @throws DatabaseError where the file is not a backup for this engine or is damaged, or the database is in use
 */
export async function restoreDatabase(
  database: Config['database'],
  file: string,
  work: (db: Db) => Promise<void>,
): Promise<string | undefined> {
  if (!existsSync(file)) throw new DatabaseError(`There is no file ${file}.`);
  if (database.kind === 'sqlite') return restoreSqlite(database.file, file, work);
  try {
    await restorePostgres(database, file, work);
    return undefined;
  } catch (error) {
    throw explainOpenError(database, error);
  }
}
