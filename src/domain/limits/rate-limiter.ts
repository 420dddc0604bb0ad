import { LRUCache } from 'lru-cache';
import type { Limits, Rate } from '../../config/limits.ts';
import type { Deps } from '../../deps.ts';
import { type Budget, Failure } from '../../errors.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';
import { decrementCounter, findCounter, incrementCounter } from '../../store/counters.ts';
import type { Db, Tx } from '../../store/engine/db.ts';
import type { Work } from '../../work.ts';
import type { LimitCounter } from './limits.ts';

/** Counters that bound how often something is done. */

const HOUR = 3600;

const DAY = 86_400;

/**
 * Takes one from each counter, in the given order, inside the caller's transaction.
 *
 * @returns the standings after it
 * @throws Failure `limited`, or `unavailable` for the service's own guess budget, when a counter is spent. The caller's
 * transaction then rolls back, so that a refused request costs nothing.
 */
export async function consumeLimits(
  { tx, now, deps }: Pick<Work, 'tx' | 'now' | 'deps'>,
  counters: readonly LimitCounter[],
): Promise<Budget[]> {
  const budgets: Budget[] = [];
  for (const limit of counters) {
    const { max, windowSeconds } = rateOf(deps.config.limits, limit.name);
    const counter = await incrementCounter(tx, counterOf(limit), max, windowSeconds * 1000, now);
    budgets.push(settleLimit(deps, limit, counter, now));
  }
  return budgets;
}

/** The key of a counter in the database. */
export const counterOf = ({ name, key }: LimitCounter): string => `${name}:${key}`;

/**
 * What came of limit from one counter.
 *
 * @throws Failure as consumeLimits(), when it is exhausted
 */
export function settleLimit(
  deps: Pick<Deps, 'db' | 'config'>,
  limit: LimitCounter,
  counter: { won: boolean; used: number; endsAt: number },
  now: number,
): Budget {
  const { name } = limit;
  const budget = standing(name, rateOf(deps.config.limits, name), counter, now);
  if (budget.remaining === 0) exhaustedCounterCache(deps.db).set(counterOf(limit), counter.endsAt);
  if (!counter.won) throw spent(budget);
  return budget;
}

/** Gives one back to each counter: a guess that was right was not a wrong one. */
export async function refundLimits(tx: Tx, counters: readonly LimitCounter[]): Promise<void> {
  for (const limit of counters) await decrementCounter(tx, counterOf(limit));
}

/** Whether so many wrong codes were tried, at a mailbox or in all, that none is to be mailed to it for now (S-07, S-17). */
export async function areGuessesExhausted(
  { tx, now, deps }: Work,
  name: 'wrongPerMailboxDay' | 'signInWrongPerMailboxDay',
  mailbox: string,
): Promise<boolean> {
  const budgets = [
    { name, key: mailboxLimitKey(mailbox) },
    { name: 'wrongPerServiceDay', key: '' },
  ] as const;
  for (const budget of budgets) {
    const counter = await findCounter(tx, counterOf(budget));
    const { max } = rateOf(deps.config.limits, budget.name);
    if (counter !== undefined && counter.endsAt > now && counter.used >= max) return true;
  }
  return false;
}

export function rateOf(limits: Limits, name: LimitCounter['name']): Rate {
  const value = limits[name];
  if (typeof value !== 'number') return value;
  return { max: value, windowSeconds: name.endsWith('Hour') ? HOUR : DAY };
}

export function standing(
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

export function spent(budget: Budget): Failure {
  const details = { retryAfterSeconds: budget.resetSeconds, budget };
  const again = `Try again in ${budget.resetSeconds} seconds.`;
  if (budget.name === 'wrongPerServiceDay') {
    return new Failure('unavailable', `Codes are not accepted at the moment. ${again}`, details);
  }
  const kind = budget.name === 'claimMailPerAgent' ? 'tooManyAttempts' : 'limited';
  return new Failure(kind, `${MESSAGES[budget.name as LimitCounter['name']]} ${again}`, details);
}

const MESSAGES: Record<LimitCounter['name'], string> = {
  registerPerIp: 'Too many registrations from this address.',
  registerPerService: 'Too many registrations at this service.',
  claimMailPerIp: 'Too many codes were asked for from this address.',
  claimMailPerAgent: 'Too many codes were asked for by this agent.',
  codesPerMailboxHour: 'Too many codes were sent to this mailbox.',
  codesPerMailboxDay: 'Too many codes were sent to this mailbox.',
  tokensPerAgent: 'Too many tokens were asked for by this agent.',
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
};

/**
 * The counters that this process has seen spent, and until when (epoch ms): a hint that spares all other requests a look into
 * the database. What decides is the counter itself.
 */
const hints = new WeakMap<Db, LRUCache<string, number>>();

export function exhaustedCounterCache(db: Db): LRUCache<string, number> {
  const seen = hints.get(db) ?? new LRUCache<string, number>({ max: 100_000 });
  hints.set(db, seen);
  return seen;
}
