import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';

/** How long to wait for the migrations of other processes. */
export const MIGRATION_WAIT_MS = 60_000;

/**
 * Opens the connection that writes. It retries the switch to WAL, which needs the file exclusively: several processes
 * may open a new file at once.
 */
export async function openWriter(file: string): Promise<Database.Database> {
  const writer = new Database(file, { timeout: 0 });
  for (const giveUpAt = performance.now() + MIGRATION_WAIT_MS; ; ) {
    try {
      writer.pragma('journal_mode = WAL');
      break;
    } catch (error) {
      const isBusy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      if (!isBusy || performance.now() > giveUpAt) throw error;
      await sleep(20);
    }
  }
  writer.pragma('synchronous = FULL');
  writer.pragma('foreign_keys = ON');
  writer.pragma('cache_size = -65536');
  writer.pragma('wal_autocheckpoint = 12000');
  return writer;
}
