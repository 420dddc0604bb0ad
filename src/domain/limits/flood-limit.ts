import type { Deps } from '../../deps.ts';
import type { Address } from '../../lib/address.ts';
import { findCounter } from '../../store/counters.ts';
import type { LimitCounter } from './limits.ts';
import { exhaustedCounterCache, rateOf, spent, standing } from './rate-limiter.ts';

/** What is refused to a client address before its request is read. */

/** The budgets by client address that can be asked before a request is read. */
export type FloodLimit = Extract<
  LimitCounter['name'],
  'registerPerIp' | 'claimMailPerIp' | 'wrongPerIpHour' | 'signInMailPerIp' | 'signInWrongPerIpHour'
>;

/**
 * Refuses an address whose budget is spent, without limit.
 *
 * @throws Failure `limited`
 */
export async function assertFloodLimit(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  name: FloodLimit,
  address: Address,
): Promise<void> {
  const id = `${name}:${address.limitKey}`;
  const now = deps.clock();
  if ((exhaustedCounterCache(deps.db).get(id) ?? 0) <= now) return;
  const counter = await findCounter(deps.db, id);
  if (counter === undefined) return;
  const rate = rateOf(deps.config.limits, name);
  if (counter.endsAt <= now || counter.used < rate.max) return;
  throw spent(standing(name, rate, counter, now));
}
