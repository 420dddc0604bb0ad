import type { Deps } from '../../deps.ts';
import { listGrantsBy, type PermissionGrantRow } from '../../store/permission-grants.ts';
import { listTerminalHistory, type SessionKeyRow } from '../../store/session-keys.ts';

/** What is stored of an account's permissions, for its export. */

/** Lists all that an account granted, oldest first. */
export function listAllGrantsGiven(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
): Promise<PermissionGrantRow[]> {
  return listGrantsBy(db, accountId);
}

/** Lists all terminals that act or acted for an account, oldest first. */
export function listAllTerminals(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
): Promise<SessionKeyRow[]> {
  return listTerminalHistory(db, accountId, clock());
}
