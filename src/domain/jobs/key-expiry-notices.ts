import type { Deps } from '../../deps.ts';
import { lockAccount } from '../../store/accounts.ts';
import { listDueExpiryNotices, updateCredentialWarned } from '../../store/expiry-notices.ts';
import { listManagerIds } from '../../store/members.ts';
import { listPlaceHistory } from '../../store/places.ts';
import { lockWorkspace } from '../../store/workspaces.ts';
import { localOrigin, type Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { notify, recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';

const BATCH = 100;

type DueKey = Awaited<ReturnType<typeof listDueExpiryNotices>>[number];

/**
 * Notifies the owners of keys that expire soon, once for each key over all replicas; of a key of a thing, the owners and admins
 * of its workspace.
 *
 * @param mayGoOn checked before each batch: false stops the job
 */
export async function notifyOfKeyExpiry(deps: Deps, mayGoOn: () => boolean = () => true): Promise<void> {
  const origin = localOrigin('key-expiry');
  while (mayGoOn()) {
    const keys = await listDueExpiryNotices(deps.db, deps.clock(), BATCH);
    for (const key of keys) {
      const notifyOf = key.kind === 'app_key' ? notifyManagers : notifyOwner;
      await useCase(deps, origin, {}, (work) => notifyOf(work, key));
    }
    if (keys.length < BATCH) return;
  }
}

async function notifyOwner(work: Work, { hash, id, accountId }: DueKey): Promise<void> {
  await lockAccount(work.tx, accountId);
  if (!(await updateCredentialWarned(work.tx, hash, work.now))) return;
  await recordAndNotify(work, accountId, { kind: 'key.expiring', subject: id });
}

/** Its maker may have left: those who could make another one are told. */
async function notifyManagers(work: Work, { hash, id }: DueKey): Promise<void> {
  const { tx, now } = work;
  const [place] = await listPlaceHistory(tx, id);
  const workspaceId = place!.workspaceId;
  await lockWorkspace(tx, workspaceId);
  const managers = await listManagerIds(tx, workspaceId);
  for (const managerId of managers) await lockAccount(tx, managerId);
  if (!(await updateCredentialWarned(tx, hash, now))) return;
  await notify(work, managers, await recordEvent(work, { kind: 'key.expiring', workspaceId, subject: id }));
}
