import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { listDueExpiryNotices, updateCredentialWarned } from '../../store/credentials.ts';
import { localOrigin } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';

const BATCH = 100;

/**
 * Notifies the owners of keys that expire soon, once for each key over all replicas.
 *
 * @param mayGoOn checked before each batch: false stops the job
 */
export async function notifyOfKeyExpiry(deps: Deps, mayGoOn: () => boolean = () => true): Promise<void> {
  const origin = localOrigin('key-expiry');
  while (mayGoOn()) {
    const keys = await listDueExpiryNotices(deps.db, deps.clock(), BATCH);
    for (const { hash, id, accountId } of keys) {
      await useCase(deps, origin, {}, async (work) => {
        const { tx, now } = work;
        await lockAccount(tx, accountId);
        if (!(await updateCredentialWarned(tx, hash, now))) return;
        await recordAndNotify(work, accountId, { kind: 'key.expiring', subject: id });
      });
    }
    if (keys.length < BATCH) return;
  }
}
