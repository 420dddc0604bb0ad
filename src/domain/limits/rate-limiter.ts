import { LRUCache } from 'lru-cache';
import type { Limits, Rate } from '../../config/limits.ts';
import type { Deps } from '../../deps.ts';
import { type Budget, Failure } from '../../errors.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';
import { decrementCounter, findCounter, incrementCounter } from '../../store/counters.ts';
import type { Db, Tx } from '../../store/engine/db.ts';
import type { Work } from '../../work.ts';
import type { LimitCounter } from './limits.ts';

/** Rate limits, counted in the database so that they are exact over replicas (S-106). */

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;

/**
 * Consumes one from each counter, in the given order, in the caller's transaction.
 *
 * @returns the state of each counter afterwards
 * @throws Failure as limitFailure(), if a counter is exhausted. The caller's transaction then rolls back, so that a refused
 * request consumes nothing.
 */
export async function consumeLimits(
  { tx, now, deps }: Pick<Work, 'tx' | 'now' | 'deps'>,
  counters: readonly LimitCounter[],
): Promise<Budget[]> {
  const budgets: Budget[] = [];
  for (const limit of counters) {
    const { max, windowSeconds } = rateOf(deps.config.limits, limit);
    const counter = await incrementCounter(tx, counterKeyOf(limit), max, windowSeconds * 1000, now);
    budgets.push(assertWithinLimit(deps, limit, counter, now));
  }
  return budgets;
}

/** Returns the primary key of a counter in the database. */
export const counterKeyOf = ({ name, key }: LimitCounter): string => `${name}:${key}`;

/**
 * Returns the state of a counter that was incremented, and caches the counter once it is exhausted.
 *
 * @param counter.won whether the increment was within the limit
 * @param counter.endsAt epoch ms, the end of the window
 * @throws Failure as limitFailure(), if `won` is false
 */
export function assertWithinLimit(
  deps: Pick<Deps, 'db' | 'config'>,
  limit: LimitCounter,
  counter: { won: boolean; used: number; endsAt: number },
  now: number,
): Budget {
  const { name } = limit;
  const budget = toBudget(name, rateOf(deps.config.limits, limit), counter, now);
  if (budget.remaining === 0) exhaustedCounterCache(deps.db).set(counterKeyOf(limit), counter.endsAt);
  if (!counter.won) throw limitFailure(budget);
  return budget;
}

/** Refunds one to each counter, after a guess that was right: the counters are of wrong guesses. */
export async function refundLimits(tx: Tx, counters: readonly LimitCounter[]): Promise<void> {
  for (const limit of counters) await decrementCounter(tx, counterKeyOf(limit));
}

/**
 * Returns whether the wrong guesses at a mailbox, or at the whole service, are exhausted. The caller then mails a link
 * in place of a code (S-07, S-17).
 *
 * @param mailbox canonical
 */
export async function areGuessesExhausted(
  { tx, now, deps }: Work,
  name: 'wrongPerMailboxDay' | 'signInWrongPerMailboxDay',
  mailbox: string,
): Promise<boolean> {
  const limits = [
    { name, key: mailboxLimitKey(mailbox) },
    { name: 'wrongPerServiceDay', key: '' },
  ] as const;
  for (const limit of limits) {
    const counter = await findCounter(tx, counterKeyOf(limit));
    const { max } = rateOf(deps.config.limits, limit);
    if (counter !== undefined && counter.endsAt > now && counter.used >= max) return true;
  }
  return false;
}

/** Reads the counters whose windows are open, without consuming anything. */
export async function readBudgets(
  { db, config, clock }: Pick<Deps, 'db' | 'config' | 'clock'>,
  counters: readonly LimitCounter[],
): Promise<Budget[]> {
  const now = clock();
  const budgets = await Promise.all(
    counters.map(async (limit) => {
      const counter = await findCounter(db, counterKeyOf(limit));
      return counter === undefined || counter.endsAt <= now
        ? []
        : [toBudget(limit.name, rateOf(config.limits, limit), counter, now)];
    }),
  );
  return budgets.flat();
}

/**
 * Returns the configured rate of a counter. Where the configuration has a plain number, the name ends with its window.
 */
export function rateOf(limits: Limits, { name, times = 1 }: Pick<LimitCounter, 'name' | 'times'>): Rate {
  const value = limits[name];
  const { max, windowSeconds } =
    typeof value === 'number'
      ? { max: value, windowSeconds: name.endsWith('Hour') ? HOUR_SECONDS : DAY_SECONDS }
      : value;
  return { max: max * times, windowSeconds };
}

/**
 * Returns the public state of a counter.
 *
 * @param counter.endsAt epoch ms, the end of the window
 */
export function toBudget(
  name: string,
  rate: Rate,
  counter: { used: number; endsAt: number },
  now: number,
): Budget {
  return {
    name,
    max: rate.max,
    remaining: Math.max(0, rate.max - counter.used),
    windowSeconds: rate.windowSeconds,
    resetSeconds: Math.max(1, Math.ceil((counter.endsAt - now) / 1000)),
  };
}

/**
 * Returns the failure for an exhausted limit: `unavailable` for the wrong guesses at the whole service,
 * `tooManyAttempts` for the claim attempts of one agent, else `limited`.
 */
export function limitFailure(budget: Budget): Failure {
  const details = { retryAfterSeconds: budget.resetSeconds, budget };
  const retryHint = `Try again in ${budget.resetSeconds} seconds.`;
  if (budget.name === 'wrongPerServiceDay') {
    return new Failure('unavailable', `Codes are not accepted at the moment. ${retryHint}`, details);
  }
  const kind = budget.name === 'claimMailPerAgent' ? 'tooManyAttempts' : 'limited';
  return new Failure(kind, `${MESSAGES[budget.name as LimitCounter['name']]} ${retryHint}`, details);
}

const MESSAGES: Record<LimitCounter['name'], string> = {
  registerPerIp: 'Too many registrations from this address.',
  registerPerService: 'Too many registrations at this service.',
  pushedRequestsPerIp: 'Too many authorization requests were pushed from this address.',
  deviceCodesPerIp: 'Too many device codes were asked for from this address.',
  clientsPerIp: 'Too many clients were registered from this address.',
  clientsPerService: 'Too many clients were registered at this service.',
  documentsPerIp: 'Too many documents of clients were fetched for this address.',
  documentsPerHost: 'Too many documents of clients were fetched from that host.',
  claimMailPerIp: 'Too many codes were asked for from this address.',
  claimMailPerAgent: 'Too many codes were asked for by this agent.',
  codesPerMailboxHour: 'Too many codes were sent to this mailbox.',
  codesPerMailboxDay: 'Too many codes were sent to this mailbox.',
  tokensPerAgent: 'Too many tokens were asked for by this agent.',
  tokensPerClient: 'Too many tokens were asked for by this client.',
  agentsPerHost: 'Too many agents were registered by this host.',
  assertionsPerIssuer: 'Too many assertions of this issuer were presented.',
  wrongPerMailboxDay: 'Too many wrong codes were tried for this mailbox.',
  wrongPerIpHour: 'Too many wrong codes were tried from this address.',
  wrongPerServiceDay: 'Too many wrong codes were tried.',
  signInMailPerIp: 'Too many mails to sign in with were asked for from this address.',
  signInMailPerMailbox: 'Too many mails to sign in with were sent to this mailbox.',
  signInMailPerMailboxIp: 'Too many mails to sign in with were sent to this mailbox.',
  signInWrongPerMailboxDay: 'Too many wrong codes were tried for this mailbox.',
  signInWrongPerIpHour: 'Too many wrong codes were tried from this address.',
  secondFactorWrongPerMailboxDay: 'Too many wrong codes of the second factor were tried.',
  workspacesPerAccount: 'Too many workspaces were created by this account.',
  invitesPerWorkspace: 'Too many people were invited to this workspace.',
  invitesPerAccount: 'Too many people were invited by this account.',
  nodeBatches: 'Too many batches of nodes were sent by this resource server.',
  treesPerResourceServer: 'Too many workspaces were told of by this resource server.',
  permissionsPerIp: 'Too many permissions were asked for from this address.',
};

const exhaustedCounters = new WeakMap<Db, LRUCache<string, number>>();

/**
 * Returns the cache of the counters that this process has seen exhausted, with the end of their windows (epoch ms). It
 * is a hint that saves other requests a query: the counter in the database decides.
 */
export function exhaustedCounterCache(db: Db): LRUCache<string, number> {
  const cache = exhaustedCounters.get(db) ?? new LRUCache<string, number>({ max: 100_000 });
  exhaustedCounters.set(db, cache);
  return cache;
}
