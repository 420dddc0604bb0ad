import type { Deps } from '../../deps.ts';
import { holdAccount } from '../../store/accounts.ts';
import { listExpiring, takeWarning } from '../../store/credentials.ts';
import { localAsker } from '../audit/audit-log.ts';
import { recordAndTell } from '../audit/notifications.ts';

const BATCH = 100;

/** Tells the owners of keys that are about to expire, once each, whichever replica gets to it. */
export async function warnOfExpiry(deps: Deps, mayGoOn: () => boolean = () => true): Promise<void> {
  const asker = localAsker('key-expiry');
  while (mayGoOn()) {
    const keys = await listExpiring(deps.db, deps.clock(), BATCH);
    for (const { hash, id, accountId } of keys) {
      await deps.db.tx(async (tx) => {
        const now = deps.clock();
        await holdAccount(tx, accountId);
        if (!(await takeWarning(tx, hash, now))) return;
        await recordAndTell(tx, deps, asker, now, accountId, { kind: 'key.expiring', subject: id });
      });
    }
    if (keys.length < BATCH) return;
  }
}
