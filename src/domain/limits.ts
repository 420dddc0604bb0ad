import { LRUCache } from 'lru-cache';
import type { Deps } from '../deps.ts';
import { type Budget, Failure } from '../errors.ts';
import type { Address } from '../lib/address.ts';
import { mailboxLimitKey } from '../lib/mailbox.ts';
import { giveBack, readCounter, spendOne } from '../store/counters.ts';
import type { Db, Tx } from '../store/db.ts';

/** At most `max` in `windowSeconds`, the window starting at the first use. */
export interface Rate {
  max: number;
  windowSeconds: number;
}

/** The budgets, with the names that an operator sets them by. */
export interface Limits {
  registerPerIp: Rate;
  registerPerService: Rate;
  claimMailPerIp: Rate;
  claimMailPerAgent: Rate;
  codeTtlSeconds: number;
  triesPerCode: number;
  codesPerClaim: number;
  codesPerMailboxHour: number;
  codesPerMailboxDay: number;
  wrongPerMailboxDay: number;
  wrongPerIpHour: number;
  wrongPerServiceDay: number;
  signInMailPerIp: Rate;
  signInMailPerMailbox: Rate;
  signInMailPerMailboxIp: Rate;
  signInWrongPerMailboxDay: number;
  signInWrongPerIpHour: number;
  secondFactorWrongPerMailboxDay: number;
  claimTtlSeconds: number;
  unclaimedTtlSeconds: number;
  assertionTtlSeconds: number;
  accessTokenTtlSeconds: number;
  signedTokenTtlSeconds: number;
  refreshTtlSeconds: number;
  tokensPerAgent: Rate;
  keysPerAccount: number;
  assertionsPerIssuer: Rate;
  agentsPerHost: Rate;
  agentIdleSeconds: number;
  agentLifetimeSeconds: number;
  agentAbsoluteSeconds: number;
}

type RateName = {
  [Name in keyof Limits]: Limits[Name] extends Rate ? Name : never;
}[keyof Limits];

/** One counter to spend from: which budget, and whose. */
export interface Spending {
  name: RateName | 'codesPerMailboxHour' | 'codesPerMailboxDay' | WrongBudget;
  key: string;
}
type WrongBudget =
  | 'wrongPerMailboxDay'
  | 'wrongPerIpHour'
  | 'wrongPerServiceDay'
  | 'signInWrongPerMailboxDay'
  | 'signInWrongPerIpHour'
  | 'secondFactorWrongPerMailboxDay';

const HOUR = 3600;
const DAY = 86_400;

/** The counters that an anonymous or asserted registration costs. */
export function registerSpendings(address: Address): Spending[] {
  return [
    { name: 'registerPerIp', key: address.limitKey },
    { name: 'registerPerService', key: '' },
  ];
}

/**
 * The counters that one mailed code of a claim costs (S-46). Mailboxes count without their `+tag` (S-05, S-41).
 * @param registrationId whose claim it is for, if it is for one
 */
export function mailSpendings(mailbox: string, address: Address, registrationId?: string): Spending[] {
  const key = mailboxLimitKey(mailbox);
  return [
    { name: 'codesPerMailboxHour', key },
    { name: 'codesPerMailboxDay', key },
    ...(registrationId === undefined ? [] : [{ name: 'claimMailPerAgent', key: registrationId } as const]),
    { name: 'claimMailPerIp', key: address.limitKey },
  ];
}

/**
 * The counters that one attempt at a claim costs: what is not mailed floods no mailbox.
 *
 * @param isMailed whether mail goes out for it
 */
export function attemptSpendings(
  mailbox: string,
  address: Address,
  registrationId: string,
  isMailed: boolean,
): Spending[] {
  const spendings = mailSpendings(mailbox, address, registrationId);
  return isMailed ? spendings : spendings.filter(({ name }) => name.startsWith('claimMail'));
}

/**
 * The counters that one guess costs until it turns out right, beside that of the service (S-05 to S-07). The mailbox comes first: its row is the lock
 * behind which all guesses at one mailbox, over all claims and replicas, stand in line.
 */
export function guessSpendings(mailbox: string, address: Address): Spending[] {
  return [
    { name: 'wrongPerMailboxDay', key: mailboxLimitKey(mailbox) },
    { name: 'wrongPerIpHour', key: address.limitKey },
  ];
}

/**
 * The counters that a mail to sign in with costs, apart from those of claims, which strangers can spend for a mailbox. One address
 * spends a share of the mailbox alone, so that a stranger at the sign-in page shuts nobody else out.
 * @param accountId of whoever is signed in already and proves it anew: nobody else spends what is theirs
 */
export function signInMailSpendings(mailbox: string, address: Address, accountId?: string): Spending[] {
  const key = mailboxLimitKey(mailbox);
  if (accountId !== undefined) return [{ name: 'signInMailPerMailboxIp', key: accountId }];
  return [
    { name: 'signInMailPerMailboxIp', key: `${key} ${address.limitKey}` },
    { name: 'signInMailPerMailbox', key },
    { name: 'signInMailPerIp', key: address.limitKey },
  ];
}

/** The counters that one guess at the code of a sign-in costs until it turns out right; as guessSpendings. */
export function signInGuessSpendings(mailbox: string, address: Address): Spending[] {
  return [
    { name: 'signInWrongPerMailboxDay', key: mailboxLimitKey(mailbox) },
    { name: 'signInWrongPerIpHour', key: address.limitKey },
  ];
}

/** The same for a second factor, of those who have proven the mailbox. */
export function secondFactorSpendings(mailbox: string): Spending[] {
  return [{ name: 'secondFactorWrongPerMailboxDay', key: mailboxLimitKey(mailbox) }];
}

/** What one guess costs of all guesses at the service: to be taken by withShared(). */
export const SERVICE_GUESS: readonly Spending[] = [{ name: 'wrongPerServiceDay', key: '' }];

/**
 * Takes one from each counter, in the given order, inside the caller's transaction.
 *
 * @returns the standings after it
 * @throws Failure `limited`, or `unavailable` for the service's own guess budget, when a counter is spent. The caller's
 * transaction then rolls back, so that a refused request costs nothing.
 */
export async function spend(
  tx: Tx,
  deps: Pick<Deps, 'db' | 'config'>,
  spendings: readonly Spending[],
  now: number,
): Promise<Budget[]> {
  const budgets: Budget[] = [];
  for (const spending of spendings) {
    const { max, windowSeconds } = rateOf(deps.config.limits, spending.name);
    const counter = await spendOne(tx, counterOf(spending), max, windowSeconds * 1000, now);
    budgets.push(settle(deps, spending, counter, now));
  }
  return budgets;
}

/** The key of a counter in the database. */
export const counterOf = ({ name, key }: Spending): string => `${name}:${key}`;

/**
 * What came of spending from one counter.
 *
 * @throws Failure as spend(), when it was spent
 */
export function settle(
  deps: Pick<Deps, 'db' | 'config'>,
  spending: Spending,
  counter: { won: boolean; used: number; endsAt: number },
  now: number,
): Budget {
  const { name } = spending;
  const budget = standing(name, rateOf(deps.config.limits, name), counter, now);
  if (budget.remaining === 0) seenSpent(deps.db).set(counterOf(spending), counter.endsAt);
  if (!counter.won) throw spent(budget);
  return budget;
}

/** Gives one back to each counter: a guess that was right was not a wrong one. */
export async function refund(tx: Tx, spendings: readonly Spending[]): Promise<void> {
  for (const spending of spendings) await giveBack(tx, counterOf(spending));
}

/** Whether so many wrong codes were tried, at a mailbox or in all, that none is to be mailed to it for now (S-07, S-17). */
export async function areGuessesSpent(
  tx: Tx,
  deps: Pick<Deps, 'config'>,
  name: 'wrongPerMailboxDay' | 'signInWrongPerMailboxDay',
  mailbox: string,
  now: number,
): Promise<boolean> {
  const budgets = [
    { name, key: mailboxLimitKey(mailbox) },
    { name: 'wrongPerServiceDay', key: '' },
  ] as const;
  for (const budget of budgets) {
    const counter = await readCounter(tx, counterOf(budget));
    const { max } = rateOf(deps.config.limits, budget.name);
    if (counter !== undefined && counter.endsAt > now && counter.used >= max) return true;
  }
  return false;
}

export function rateOf(limits: Limits, name: Spending['name']): Rate {
  const value = limits[name];
  if (typeof value !== 'number') return value;
  return { max: value, windowSeconds: name.endsWith('Hour') ? HOUR : DAY };
}

function standing(name: string, rate: Rate, counter: { used: number; endsAt: number }, now: number): Budget {
  return {
    name,
    max: rate.max,
    remaining: Math.max(0, rate.max - counter.used),
    windowSeconds: rate.windowSeconds,
    resetSeconds: Math.max(1, Math.ceil((counter.endsAt - now) / 1000)),
  };
}

function spent(budget: Budget): Failure {
  const details = { retryAfterSeconds: budget.resetSeconds, budget };
  const again = `Try again in ${budget.resetSeconds} seconds.`;
  if (budget.name === 'wrongPerServiceDay') {
    return new Failure('unavailable', `Codes are not accepted at the moment. ${again}`, details);
  }
  const kind = budget.name === 'claimMailPerAgent' ? 'tooManyAttempts' : 'limited';
  return new Failure(kind, `${MESSAGES[budget.name as Spending['name']]} ${again}`, details);
}

const MESSAGES: Record<Spending['name'], string> = {
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

/** The budgets by client address that can be asked before a request is read. */
export type FloodLimit = Extract<
  Spending['name'],
  'registerPerIp' | 'claimMailPerIp' | 'wrongPerIpHour' | 'signInMailPerIp' | 'signInWrongPerIpHour'
>;

/**
 * The counters that this process has seen spent, and until when (epoch ms): a hint that spares all other requests a look into
 * the database. What decides is the counter itself.
 */
const hints = new WeakMap<Db, LRUCache<string, number>>();

function seenSpent(db: Db): LRUCache<string, number> {
  const seen = hints.get(db) ?? new LRUCache<string, number>({ max: 100_000 });
  hints.set(db, seen);
  return seen;
}

/**
 * Refuses an address whose budget is spent, without spending.
 *
 * @throws Failure `limited`
 */
export async function refuseIfSpent(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  name: FloodLimit,
  address: Address,
): Promise<void> {
  const id = `${name}:${address.limitKey}`;
  const now = deps.clock();
  if ((seenSpent(deps.db).get(id) ?? 0) <= now) return;
  const counter = await readCounter(deps.db, id);
  if (counter === undefined) return;
  const rate = rateOf(deps.config.limits, name);
  if (counter.endsAt <= now || counter.used < rate.max) return;
  throw spent(standing(name, rate, counter, now));
}
