import type { Deps } from '../../deps.ts';
import { incrementCounter } from '../../store/counters.ts';
import { readDiskSpace } from '../../store/engine/database-file.ts';

/** Whether the database takes writes. Only a write tells: a full disk or a read-only database takes an empty transaction. */
export async function takesWrites(deps: Pick<Deps, 'db' | 'clock'>): Promise<boolean> {
  try {
    await deps.db.tx((tx) => incrementCounter(tx, 'readyz', Number.MAX_SAFE_INTEGER, 60_000, deps.clock()));
    return true;
  } catch {
    return false;
  }
}

/** Whether its disk has room left for the database; that of a database server is that server's to watch. */
export function hasDiskSpace({ config }: Pick<Deps, 'config'>): boolean {
  const { database, diskFreeMin } = config;
  if (database.kind !== 'sqlite') return true;
  let space: ReturnType<typeof readDiskSpace>;
  try {
    space = readDiskSpace(database.file);
  } catch {
    return false; // its folder is not there any more
  }
  const { free, total } = space;
  return free >= diskFreeMin.bytes && free >= diskFreeMin.share * total;
}
