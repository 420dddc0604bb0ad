import type { Deps } from '../deps.ts';
import { numberNewEvents } from '../domain/audiences/revocation-feed.ts';
import { notifyOfKeyExpiry } from '../domain/jobs/key-expiry-notices.ts';
import { sweep } from '../domain/jobs/retention.ts';
import { revokeUntrustedIssuers } from '../domain/jobs/revoke-untrusted-issuers.ts';

const PERIOD_MS = 60_000;

/**
 * What is done once a minute, by every replica, until stopped. No answer depends on it.
 *
 * @param mayDelete whether time can be trusted enough for that
 */
export function startScheduler(deps: Deps, mayDelete: () => boolean): { stop(): Promise<void> } {
  let stopped = false;
  let current = Promise.resolve();
  const mayGoOn = () => !stopped;
  const timer = setInterval(() => {
    current = current.then(async () => {
      try {
        await revokeUntrustedIssuers(deps, mayGoOn);
        await notifyOfKeyExpiry(deps, mayGoOn);
        await numberNewEvents(deps);
        if (mayDelete()) await sweep(deps, mayGoOn);
      } catch (error) {
        deps.log.warn({ err: error }, 'a job could not be done');
      }
    });
  }, PERIOD_MS);
  timer.unref();
  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await current;
    },
  };
}
