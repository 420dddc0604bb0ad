import type { Deps } from '../deps.ts';
import { spendOne } from '../store/counters.ts';

/** Whether the database takes writes. Only a write tells: a full disk or a read-only database takes an empty transaction. */
export async function takesWrites(deps: Pick<Deps, 'db' | 'clock'>): Promise<boolean> {
  try {
    await deps.db.tx((tx) => spendOne(tx, 'readyz', Number.MAX_SAFE_INTEGER, 60_000, deps.clock()));
    return true;
  } catch {
    return false;
  }
}
