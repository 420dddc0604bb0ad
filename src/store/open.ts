import type { Config } from '../config.ts';
import type { Db } from './db.ts';
import { openPostgres } from './postgres.ts';
import { openSqlite } from './sqlite.ts';

/**
 * Opens the configured database; creates a SQLite file where there is none.
 *
 * @param onBroken called when the database is damaged and the process should end rather than lie
 */
export function openDatabase(database: Config['database'], onBroken: (cause: unknown) => void): Promise<Db> {
  return database.kind === 'sqlite' ? openSqlite(database.file, onBroken) : openPostgres(database.url);
}
