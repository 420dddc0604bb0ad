import { existsSync } from 'node:fs';
import type { Config } from '../../config/load.ts';
import { DatabaseError } from '../../errors.ts';
import type { Db } from './db.ts';
import { explainOpenError } from './open-error.ts';
import { restorePostgres } from './postgres/copy.ts';
import { restoreSqlite } from './sqlite/copy.ts';

/**
 * Puts a backup in the place of the configured database. Wherever it ends, by an error or by being killed, the database is the old one
 * or the new one, and whole.
 *
 * @param work on what the backup holds, brought up to date, before it counts; an error of it leaves all as it was
 * @returns where the SQLite database that was there lies now, if there was one
 * @throws DatabaseError where the file is no backup for this engine, or is damaged, or somebody works on the database
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
