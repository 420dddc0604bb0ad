import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { listExpiring, markWarned } from '../../store/credentials.ts';
import { localOrigin } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';

const BATCH = 100;

/** Tells the owners of keys that are about to expire, once each, whichever replica gets to it. */
export async function notifyOfKeyExpiry(deps: Deps, mayGoOn: () => boolean = () => true): Promise<void> {
  const origin = localOrigin('key-expiry');
  while (mayGoOn()) {
    const keys = await listExpiring(deps.db, deps.clock(), BATCH);
    for (const { hash, id, accountId } of keys) {
      await deps.db.tx(async (tx) => {
        const now = deps.clock();
        await lockAccount(tx, accountId);
        if (!(await markWarned(tx, hash, now))) return;
        await recordAndNotify(tx, deps, origin, now, accountId, { kind: 'key.expiring', subject: id });
      });
    }
    if (keys.length < BATCH) return;
  }
}
