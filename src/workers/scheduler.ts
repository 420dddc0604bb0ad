import type { Deps } from '../deps.ts';
import { endLeftConsents } from '../domain/apps/end-consents.ts';
import { numberNewEvents } from '../domain/audiences/revocation-feed.ts';
import { notifyOfKeyExpiry } from '../domain/jobs/key-expiry-notices.ts';
import { fillOwners } from '../domain/jobs/owner-fill.ts';
import { deleteExpiredRows } from '../domain/jobs/retention.ts';
import { revokeUntrustedIssuers } from '../domain/jobs/revoke-untrusted-issuers.ts';
import { localOrigin } from '../work.ts';

const PERIOD_MS = 60_000;

/**
 * Runs the periodic jobs once a minute until stopped; every replica does. No response depends on them.
 *
 * @param mayDelete whether the clock is reliable enough to delete expired rows
 */
export function startScheduler(deps: Deps, mayDelete: () => boolean): { stop(): Promise<void> } {
  let isStopped = false;
  let current = Promise.resolve();
  const mayContinue = () => !isStopped;
  const timer = setInterval(() => {
    current = current.then(async () => {
      try {
        await revokeUntrustedIssuers(deps, mayContinue);
        await notifyOfKeyExpiry(deps, mayContinue);
        await endLeftConsents(deps, localOrigin('ended-clients'), mayContinue);
        await numberNewEvents(deps);
        await fillOwners(deps, mayContinue);
        if (mayDelete()) await deleteExpiredRows(deps, mayContinue);
      } catch (error) {
        deps.log.warn({ err: error }, 'a job could not be done');
      }
    });
  }, PERIOD_MS);
  timer.unref();
  return {
    async stop() {
      isStopped = true;
      clearInterval(timer);
      await current;
    },
  };
}
