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
 * Puts a copy in the place of a database. At every moment there is a whole one under its name.
 *
 * @param work on what the copy holds, before it counts
 * @returns where the database that was there lies now
 * @throws DatabaseError where the copy is none, or damaged, or somebody works on the database
 */
export async function restoreSqlite(
  file: string,
  backup: string,
  work: (db: Db) => Promise<void>,
): Promise<string | undefined> {
  const lock = lockForRestore(file);
  let now = 0;
  const fresh = `${file}.restoring`;
  removeAll(fresh); // of a restore that was killed
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
    toOneFile(fresh);
    return existsSync(file) ? replaceKept(file, fresh, now) : void renameSynced(fresh, file);
  } finally {
    removeAll(fresh);
    await lock.release();
  }
}

/** Copies a database and what lies beside it into one new file. @throws DatabaseError where it is none of ours, or damaged */
function copyChecked(backup: string, fresh: string): void {
  try {
    const source = new Database(backup, { readonly: true });
    try {
      // What is missing at the end reads as zeros, which may well look like rows.
      const bytes =
        Number(source.pragma('page_count', { simple: true })) *
        Number(source.pragma('page_size', { simple: true }));
      if (statSync(backup).size < bytes && !existsSync(`${backup}-wal`)) {
        throw new DatabaseError(`${backup} is not whole: its end is missing. Nothing was changed.`);
      }
      const found = source.pragma('integrity_check(1)', { simple: true });
      if (found !== 'ok') throw new DatabaseError(`${backup} is damaged: ${found}. Nothing was changed.`);
      const ours = source.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'migrations'`).get();
      if (ours === undefined) throw new DatabaseError(`${backup} is no database of Vouchsafe.`);
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

/** A database is more than its file while a log lies beside it, which SQLite would replay into whatever bears the file's name. */
function toOneFile(file: string): void {
  const database = new Database(file, { timeout: 0 });
  try {
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.pragma('journal_mode = DELETE');
  } finally {
    database.close();
  }
}

/** @returns where the old one is now */
function replaceKept(file: string, fresh: string, now: number): string {
  const kept = `${file}.before-${now}`;
  try {
    toOneFile(file);
  } catch {
    // It is damaged. What lies beside it goes with it.
    for (const end of BESIDE) if (existsSync(file + end)) renameSync(file + end, kept + end);
  }
  try {
    linkSync(file, kept);
  } catch {
    copyFileSync(file, kept); // a file system without links
  }
  renameSynced(fresh, file);
  return kept;
}

function renameSynced(from: string, to: string): void {
  for (const end of BESIDE) rmSync(to + end, { force: true });
  renameSync(from, to);
  const folder = openSync(dirname(to), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

const BESIDE = ['-wal', '-shm', '-journal'];

function removeAll(file: string): void {
  for (const end of ['', ...BESIDE]) rmSync(file + end, { force: true });
}
