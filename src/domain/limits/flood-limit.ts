import type { Deps } from '../../deps.ts';
import type { Address } from '../../lib/address.ts';
import { findCounter } from '../../store/counters.ts';
import { addressLimits, type LimitCounter } from './limits.ts';
import { counterKeyOf, exhaustedCounterCache, limitFailure, rateOf, toBudget } from './rate-limiter.ts';

/** Flood limits: a client address that exhausted a limit is refused before its request body is read (S-50). */

/** The limits per client address that are checked before a request body is read. */
export type FloodLimit = Extract<
  LimitCounter['name'],
  | 'registerPerIp'
  | 'clientsPerIp'
  | 'pushedRequestsPerIp'
  | 'deviceCodesPerIp'
  | 'claimMailPerIp'
  | 'wrongPerIpHour'
  | 'signInMailPerIp'
  | 'signInWrongPerIpHour'
  | 'permissionsPerIp'
>;

/**
 * Refuses a client address that exhausted a limit. Consumes nothing, and reads the counter only if this process has
 * seen it exhausted.
 *
 * @throws Failure `limited`
 */
export async function assertFloodLimit(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  name: FloodLimit,
  address: Address,
): Promise<void> {
  const exhaustedUntil = (limit: LimitCounter) =>
    exhaustedCounterCache(deps.db).get(counterKeyOf(limit)) ?? 0;
  const isSeen = addressLimits(name, address).some((limit) => exhaustedUntil(limit) > deps.clock());
  if (isSeen) await assertBudgetLeft(deps, name, address);
}

/**
 * Refuses a client address that exhausted a limit, at whichever replica. Consumes nothing.
 *
 * @throws Failure `limited`
 */
export async function assertBudgetLeft(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  name: FloodLimit,
  address: Address,
): Promise<void> {
  const now = clock();
  for (const limit of addressLimits(name, address)) {
    const counter = await findCounter(db, counterKeyOf(limit));
    const rate = rateOf(config.limits, limit);
    if (counter === undefined || counter.endsAt <= now || counter.used < rate.max) continue;
    throw limitFailure(toBudget(limit.name, rate, counter, now));
  }
}
