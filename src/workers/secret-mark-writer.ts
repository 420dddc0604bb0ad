import type { Deps } from '../deps.ts';
import {
  canOpenAllSecretMarks,
  removeSecretMark,
  SECRET_MARK_PERIOD_MS,
  type SecretMarkDeps,
  UNREADABLE_SECRET_MESSAGE,
  writeSecretMark,
} from '../domain/codes/secret-marks.ts';

/**
 * Records in the database, while the service runs, with which secret it seals, and deletes the record when it stops.
 * Logs an error if another service uses a secret that SECRET here does not list.
 */
export async function startSecretMarkWriter(
  deps: SecretMarkDeps & Pick<Deps, 'log'>,
): Promise<{ stop(): Promise<void> }> {
  await writeSecretMark(deps);
  if (!(await canOpenAllSecretMarks(deps.keyring, deps.db, deps.clock())))
    deps.log.error(UNREADABLE_SECRET_MESSAGE);
  let current = Promise.resolve();
  const timer = setInterval(() => {
    current = current.then(() => writeSecretMark(deps).catch(() => {})); // the readiness check reports an unavailable database
  }, SECRET_MARK_PERIOD_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await current;
      // Other services that use the same secret record it again within seconds.
      await removeSecretMark(deps).catch(() => {});
    },
  };
}
