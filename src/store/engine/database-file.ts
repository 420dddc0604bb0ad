import { closeSync, existsSync, openSync, readSync, type Stats, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../../config/load.ts';
import { DatabaseError } from '../../errors.ts';

/** Detects changes to the file of a SQLite database that other programs made, and reads the free space of its disk. */

const CHECK_MS = 60_000;

/** Bytes 0 to 15 of every database (https://www.sqlite.org/fileformat.html, section 1.3). */
const HEADER = Buffer.from('SQLite format 3\0');

/**
 * Checks once a minute whether the file is still the one that was opened. SQLite does not notice when the file is
 * removed or replaced: it keeps writing to a file without a name, and everything that it writes is lost at the next
 * start.
 *
 * @param onChanged called once when the file was removed, replaced, truncated or overwritten
 * @param checkMs ms between two checks
 */
export function watchDatabaseFile(
  file: string,
  onChanged: (cause: DatabaseError) => void,
  checkMs = CHECK_MS,
): { stop(): void } {
  let before = statSync(file);
  const timer = setInterval(() => {
    const found = checkFile(file, before);
    if (typeof found === 'object') {
      before = found;
      return;
    }
    clearInterval(timer);
    onChanged(
      new DatabaseError(
        `DATABASE_URL: the file ${file} ${found} while the service ran. Put it back, or restore a backup.`,
      ),
    );
  }, checkMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** Returns the current state of the file, or what happened to it. */
function checkFile(file: string, before: Stats): Stats | string {
  try {
    return compareStats(file, before, statSync(file));
  } catch {
    return 'was removed'; // also between statSync() and openSync()
  }
}

function compareStats(file: string, before: Stats, now: Stats): Stats | string {
  if (now.ino !== before.ino || now.dev !== before.dev) return 'was replaced';
  if (now.size < before.size) return 'was cut short'; // the service never runs VACUUM in place, so the file never shrinks
  if (now.size > 0 && !hasHeader(file)) return 'was overwritten';
  return now;
}

function hasHeader(file: string): boolean {
  const head = Buffer.alloc(HEADER.length);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, head, 0, head.length, 0);
  } finally {
    closeSync(descriptor);
  }
  return head.equals(HEADER);
}

/** Reads the space of the disk that holds a file, in bytes: `free` is what this user may still write. */
export function readDiskSpace(file: string): { free: number; total: number } {
  const { bavail, blocks, bsize } = statfsSync(dirname(file));
  return { free: bavail * bsize, total: blocks * bsize };
}

/** Returns the path of a configured SQLite file that does not exist, and that opening would create; else undefined. */
export function missingFile(database: Config['database']): string | undefined {
  return database.kind === 'sqlite' && !existsSync(database.file) ? database.file : undefined;
}
