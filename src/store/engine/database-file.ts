import { closeSync, existsSync, openSync, readSync, type Stats, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../../config/load.ts';
import { DatabaseError } from '../../errors.ts';

/** What may happen to the file of a SQLite database behind its back, and how much room it has. */

const LOOK_MS = 60_000;
/** Bytes 0 to 15 of every database (https://www.sqlite.org/fileformat.html, section 1.3). */
const HEADER = Buffer.from('SQLite format 3\0');

/**
 * Looks once a minute whether the file is still the one that was opened. SQLite itself notices none of this: it would go on
 * writing into a file that has no name any more, and all of it would be lost at the next start.
 *
 * @param onGone called once, with a sentence, when the file was removed, replaced or cut short
 */
export function watchDatabaseFile(
  file: string,
  onGone: (cause: DatabaseError) => void,
  lookMs = LOOK_MS,
): { stop(): void } {
  let before = statSync(file);
  const timer = setInterval(() => {
    const found = lookAt(file, before);
    if (typeof found === 'object') {
      before = found;
      return;
    }
    clearInterval(timer);
    onGone(
      new DatabaseError(
        `DATABASE_URL: the file ${file} ${found} while the service ran. Put it back, or restore a backup.`,
      ),
    );
  }, lookMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** What the file is now, or what happened to it. */
function lookAt(file: string, before: Stats): Stats | string {
  try {
    return compare(file, before, statSync(file));
  } catch {
    return 'was removed'; // also between two of our looks at it
  }
}

function compare(file: string, before: Stats, now: Stats): Stats | string {
  if (now.ino !== before.ino || now.dev !== before.dev) return 'was replaced';
  if (now.size < before.size) return 'was cut short'; // we never VACUUM in place
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

/** The room on the disk that holds a file, in bytes: what we may still write, and all of it. */
export function readDiskSpace(file: string): { free: number; total: number } {
  const { bavail, blocks, bsize } = statfsSync(dirname(file));
  return { free: bavail * bsize, total: blocks * bsize };
}

/** The file of a SQLite database that is not there yet: opening it would make it. */
export function missingFile(database: Config['database']): string | undefined {
  return database.kind === 'sqlite' && !existsSync(database.file) ? database.file : undefined;
}
