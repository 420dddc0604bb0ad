import type { Deps } from '../deps.ts';
import {
  type Marking,
  markSecret,
  PERIOD_MS,
  readsAllSecrets,
  UNREADABLE,
  withdrawSecretMark,
} from '../domain/codes/secret-marks.ts';

/** Says in the database which secret this service seals with, as long as it runs. */

/** Says it as long as the service runs, and takes it back at its end. */
export async function startSecretMarkWriter(
  deps: Marking & Pick<Deps, 'log'>,
): Promise<{ stop(): Promise<void> }> {
  await markSecret(deps);
  if (!(await readsAllSecrets(deps.keyring, deps.db, deps.clock()))) deps.log.error(UNREADABLE);
  let current = Promise.resolve();
  const timer = setInterval(() => {
    current = current.then(() => markSecret(deps).catch(() => {})); // readiness tells of a database that is away
  }, PERIOD_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await current;
      // One that uses the same says it again within seconds.
      await withdrawSecretMark(deps).catch(() => {});
    },
  };
}
