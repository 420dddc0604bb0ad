import type { Deps } from '../../deps.ts';
import type { Address } from '../../lib/address.ts';
import { findCounter } from '../../store/counters.ts';
import type { LimitCounter } from './limits.ts';
import { exhaustedCounterCache, limitFailure, rateOf, toBudget } from './rate-limiter.ts';

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
  const exhaustedUntil = exhaustedCounterCache(deps.db).get(`${name}:${address.limitKey}`) ?? 0;
  if (exhaustedUntil > deps.clock()) await assertBudgetLeft(deps, name, address);
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
  const counter = await findCounter(db, `${name}:${address.limitKey}`);
  if (counter === undefined) return;
  const rate = rateOf(config.limits, name);
  if (counter.endsAt <= now || counter.used < rate.max) return;
  throw limitFailure(toBudget(name, rate, counter, now));
}
