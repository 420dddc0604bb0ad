import type { Deps } from '../deps.ts';
import {
  type Marking,
  markSecret,
  PERIOD_MS,
  readsAllSecrets,
  UNREADABLE,
  withdrawSecretMark,
} from '../domain/codes/secret-marks.ts';

/**
 * Records in the database, while the service runs, with which secret it seals, and deletes the record when it stops.
 * Logs an error if another service uses a secret that SECRET here does not list.
 */
export async function startSecretMarkWriter(
  deps: Marking & Pick<Deps, 'log'>,
): Promise<{ stop(): Promise<void> }> {
  await markSecret(deps);
  if (!(await readsAllSecrets(deps.keyring, deps.db, deps.clock()))) deps.log.error(UNREADABLE);
  let current = Promise.resolve();
  const timer = setInterval(() => {
    current = current.then(() => markSecret(deps).catch(() => {})); // the readiness check reports an unavailable database
  }, PERIOD_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await current;
      // Other services that use the same secret record it again within seconds.
      await withdrawSecretMark(deps).catch(() => {});
    },
  };
}
