import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { DatabaseError } from '../../../errors.ts';
import type { Db } from '../db.ts';
import { migrate } from '../migrate.ts';
import { lockForRestore } from './lock.ts';
import { openSqlite } from './sqlite.ts';

/**
 * Replaces a database by a backup. At every moment the file is one complete database.
 *
 * @param work runs on the restored and migrated database before it replaces the old one; if it throws, nothing changes
 * @returns the path to which the old database was moved; undefined: there was none
 * @throws DatabaseError where the file is not a backup or is damaged, or the database is in use
 */
export async function restoreSqlite(
  file: string,
  backup: string,
  work: (db: Db) => Promise<void>,
): Promise<string | undefined> {
  const lock = lockForRestore(file);
  let now = 0;
  const fresh = `${file}.restoring`;
  removeAll(fresh); // left by a restore that was killed
  try {
    copyChecked(backup, fresh);
    const db = await openSqlite(fresh, () => {});
    try {
      now = await db.now();
      await migrate(db, now);
      await work(db);
    } finally {
      await db.close();
    }
    mergeLog(fresh);
    return existsSync(file) ? replaceAndKeep(file, fresh, now) : void renameSynced(fresh, file);
  } finally {
    removeAll(fresh);
    await lock.release();
  }
}

/**
 * Checks a backup and copies it, with the log beside it, into one new file.
 *
 * @throws DatabaseError where it is not a database of Vouchsafe, or is damaged
 */
function copyChecked(backup: string, fresh: string): void {
  try {
    const source = new Database(backup, { readonly: true });
    try {
      // SQLite reads a missing end as zeros, which integrity_check may accept as rows.
      const bytes =
        Number(source.pragma('page_count', { simple: true })) *
        Number(source.pragma('page_size', { simple: true }));
      if (statSync(backup).size < bytes && !existsSync(`${backup}-wal`)) {
        throw new DatabaseError(`${backup} is not whole: its end is missing. Nothing was changed.`);
      }
      const result = source.pragma('integrity_check(1)', { simple: true });
      if (result !== 'ok') throw new DatabaseError(`${backup} is damaged: ${result}. Nothing was changed.`);
      const migrations = source.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'migrations'`).get();
      if (migrations === undefined) throw new DatabaseError(`${backup} is no database of Vouchsafe.`);
      source.prepare('VACUUM INTO ?').run(fresh);
    } finally {
      source.close();
    }
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    if (error.code === 'SQLITE_NOTADB') {
      throw new DatabaseError(`${backup} is no backup of a SQLite database.`, { cause: error });
    }
    throw new DatabaseError(`${backup} cannot be read: ${error.message}. Nothing was changed.`, {
      cause: error,
    });
  }
}

/** Merges the write-ahead log into the file and removes it: SQLite would replay it into the file's replacement. */
function mergeLog(file: string): void {
  const database = new Database(file, { timeout: 0 });
  try {
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.pragma('journal_mode = DELETE');
  } finally {
    database.close();
  }
}

/** Replaces the database and keeps the old one under another name, which it returns. */
function replaceAndKeep(file: string, fresh: string, now: number): string {
  const kept = `${file}.before-${now}`;
  try {
    mergeLog(file);
  } catch {
    // The old database is damaged. Its log and journal move with it.
    for (const suffix of SIDE_FILES) if (existsSync(file + suffix)) renameSync(file + suffix, kept + suffix);
  }
  try {
    linkSync(file, kept);
  } catch {
    copyFileSync(file, kept); // the file system has no hard links
  }
  renameSynced(fresh, file);
  return kept;
}

/** Renames a database and syncs the folder, so that the new name survives a crash. */
function renameSynced(from: string, to: string): void {
  for (const suffix of SIDE_FILES) rmSync(to + suffix, { force: true });
  renameSync(from, to);
  const folder = openSync(dirname(to), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/** Suffixes of the files that SQLite keeps beside a database. */
const SIDE_FILES = ['-wal', '-shm', '-journal'];

function removeAll(file: string): void {
  for (const suffix of ['', ...SIDE_FILES]) rmSync(file + suffix, { force: true });
}
