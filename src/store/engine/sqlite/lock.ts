import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { inUse, restoring, type ServiceLock } from '../open-error.ts';

/**
 * The lock that all who work on a database hold together: the operating system's, so it is gone with a process that was killed.
 *
 * @throws DatabaseError while the database is being restored
 */
export function lockFile(file: string): ServiceLock {
  return openLock(file, 'BEGIN', restoring);
}

/** Holds it alone. @throws DatabaseError while a service, or a command, works on the file */
export function lockForRestore(file: string): ServiceLock {
  return openLock(file, 'BEGIN EXCLUSIVE', inUse);
}

/** Beside the database lies an empty file that is locked in its stead: the database itself is locked for each write. */
function openLock(file: string, begin: 'BEGIN' | 'BEGIN EXCLUSIVE', refused: () => Error): ServiceLock {
  if (file === ':memory:') return { release: async () => {} };
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const lock = new Database(`${file}.lock`, { timeout: 0 });
  try {
    lock.exec(begin);
    lock.prepare('SELECT COUNT(*) FROM sqlite_master').get(); // a plain BEGIN locks with its first look
  } catch (error) {
    lock.close();
    throw error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY') ? refused() : error;
  }
  return { release: async () => void lock.close() };
}
