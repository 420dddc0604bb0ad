import type { Deps } from '../../deps.ts';
import { incrementCounter } from '../../store/counters.ts';
import { readDiskSpace } from '../../store/engine/database-file.ts';

/**
 * Returns whether the database accepts writes. It writes a row: an empty transaction succeeds on a full disk or a
 * read-only database.
 */
export async function takesWrites(deps: Pick<Deps, 'db' | 'clock'>): Promise<boolean> {
  try {
    await deps.db.tx((tx) => incrementCounter(tx, 'readyz', Number.MAX_SAFE_INTEGER, 60_000, deps.clock()));
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns whether the disk of a SQLite database has the configured free space. The disk of a PostgreSQL server is not
 * checked.
 */
export function hasDiskSpace({ config }: Pick<Deps, 'config'>): boolean {
  const { database, diskFreeMin } = config;
  if (database.kind !== 'sqlite') return true;
  let space: ReturnType<typeof readDiskSpace>;
  try {
    space = readDiskSpace(database.file);
  } catch {
    return false; // the database's directory does not exist any more
  }
  const { free, total } = space;
  return free >= diskFreeMin.bytes && free >= diskFreeMin.share * total;
}
