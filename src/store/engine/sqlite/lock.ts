import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { inUse, restoring, type ServiceLock } from '../open-error.ts';

/**
 * Takes the shared lock of services and commands on a database. It is a lock of the operating system, which releases it
 * when the process is killed.
 *
 * @throws DatabaseError while the database is being restored
 */
export function lockFile(file: string): ServiceLock {
  return openLock(file, 'BEGIN', restoring);
}

/** Takes the lock exclusively. @throws DatabaseError while a service or a command uses the file */
export function lockForRestore(file: string): ServiceLock {
  return openLock(file, 'BEGIN EXCLUSIVE', inUse);
}

/** Locks an empty file beside the database: the lock of the database file itself is needed for each write. */
function openLock(file: string, begin: 'BEGIN' | 'BEGIN EXCLUSIVE', createError: () => Error): ServiceLock {
  if (file === ':memory:') return { release: async () => {} };
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const lock = new Database(`${file}.lock`, { timeout: 0 });
  try {
    lock.exec(begin);
    lock.prepare('SELECT COUNT(*) FROM sqlite_master').get(); // a plain BEGIN takes the lock at the first read
  } catch (error) {
    lock.close();
    throw error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')
      ? createError()
      : error;
  }
  return { release: async () => void lock.close() };
}
