import type { Deps } from '../../deps.ts';
import {
  findOAuthClient,
  listOAuthClientsWithConsentsToEnd,
  type OAuthClientRow,
  updateOAuthClientConsentsEnded,
} from '../../store/oauth-clients.ts';
import { listLiveOAuthGrantsOfClient } from '../../store/oauth-grants.ts';
import type { RequestOrigin } from '../../work.ts';
import { lockAccounts } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { endConsent } from './consents.ts';

/**
 * Ends what humans let a client do that was removed or suspended. There may be very many, so each transaction ends a few;
 * from the moment when the client ended, none of them can be used.
 */

const CONSENTS_PER_BATCH = 20;
const CLIENTS_PER_LOOK = 100;
/** How many batches a request waits for; a job does the others. */
export const BATCHES_PER_REQUEST = 25;

/** Who ends the consents, as the audit says; humans are mailed unless the client ended itself. */
type Ender = 'client' | 'clientRemoved' | 'operator';

/**
 * Ends the consents of a client that was removed or suspended.
 *
 * @param batchesMax what is left then is left to endLeftConsents()
 */
export async function endConsentsOfEndedClient(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  by: Ender,
  batchesMax = Number.POSITIVE_INFINITY,
): Promise<void> {
  for (let batch = 0; batch < batchesMax; batch += 1) {
    if (!(await endBatch(deps, origin, id, by))) continue;
    // In a transaction of its own: clients are locked before consents.
    await deps.db.tx((tx) => updateOAuthClientConsentsEnded(tx, id), 'brief');
    return;
  }
}

/** Ends some consents of a client. @returns whether none are left to be ended */
function endBatch(deps: Deps, origin: RequestOrigin, id: string, by: Ender): Promise<boolean> {
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const client = await findOAuthClient(tx, id);
    const isResumed = client?.endedAt === null && client.suspendedAt === null;
    const consents = isResumed ? [] : await listLiveOAuthGrantsOfClient(tx, id, now, CONSENTS_PER_BATCH);
    // Those who are mailed, all of them before the places of the first consent.
    const mailed = by === 'client' ? [] : consents.map(({ accountId }) => accountId);
    await lockAccounts(work, mailed);
    for (const consent of consents) await endConsent(work, consent, by);
    return consents.length < CONSENTS_PER_BATCH;
  });
}

/**
 * Ends the consents that requests left, as when a process was killed.
 *
 * @param mayGoOn checked before each client: false leaves the rest to the next run
 */
export async function endLeftConsents(
  deps: Deps,
  origin: RequestOrigin,
  mayGoOn: () => boolean = () => true,
): Promise<void> {
  while (mayGoOn()) {
    const clients = await listOAuthClientsWithConsentsToEnd(deps.db, CLIENTS_PER_LOOK);
    for (const client of clients) {
      if (!mayGoOn()) return;
      await endConsentsOfEndedClient(deps, origin, client.id, enderOf(client));
    }
    if (clients.length < CLIENTS_PER_LOOK) return;
  }
}

/** Returns who ended the consents of a client: those who are asked about a client that registered itself are not mailed. */
export function enderOf({ origin, endedAt }: Pick<OAuthClientRow, 'origin' | 'endedAt'>): Ender {
  if (endedAt === null) return 'operator';
  return origin === 'dynamic' ? 'client' : 'clientRemoved';
}
