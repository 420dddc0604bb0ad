import type { Limits, Rate } from '../../config/limits.ts';
import type { Address } from '../../lib/address.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';

type RateName = {
  [Name in keyof Limits]: Limits[Name] extends Rate ? Name : never;
}[keyof Limits];

/** A counter of one limit. */
export interface LimitCounter {
  name: RateName | 'codesPerMailboxHour' | 'codesPerMailboxDay' | WrongGuessLimit;
  /** What the limit counts by: an address, a mailbox, an id; empty where it counts for the whole service. */
  key: string;
  /** How many times the limit it counts to; undefined: once. */
  times?: number;
}

/** How many times the limit of one address all addresses of an IPv6 /48 have together. */
const SITE_TIMES = 5;

type WrongGuessLimit =
  | 'wrongPerMailboxDay'
  | 'wrongPerIpHour'
  | 'wrongPerServiceDay'
  | 'signInWrongPerMailboxDay'
  | 'signInWrongPerIpHour'
  | 'secondFactorWrongPerMailboxDay';

/** Returns the counters that an anonymous or asserted registration consumes. */
export function registrationLimits(address: Address): LimitCounter[] {
  return [
    { name: 'registerPerIp', key: address.limitKey },
    { name: 'registerPerService', key: '' },
  ];
}

/** Returns the counters that the registration of an OAuth client consumes. */
export function clientLimits(address: Address): LimitCounter[] {
  return [...addressLimits('clientsPerIp', address), { name: 'clientsPerService', key: '' }];
}

/** Returns the counters of a limit per address: that of the address; for OAuth clients that of its IPv6 /48, too. */
export function addressLimits(name: LimitCounter['name'], { limitKey, site }: Address): LimitCounter[] {
  const own = { name, key: limitKey };
  if (name !== 'clientsPerIp' || site === undefined) return [own];
  return [own, { name, key: site, times: SITE_TIMES }];
}

/**
 * Returns the counters that one mailed code of a claim consumes (S-46). Mailboxes count without their `+tag` (S-05,
 * S-41).
 *
 * @param mailbox canonical
 * @param registrationId the registration that is claimed, if any
 */
export function claimMailLimits(mailbox: string, address: Address, registrationId?: string): LimitCounter[] {
  const key = mailboxLimitKey(mailbox);
  return [
    { name: 'codesPerMailboxHour', key },
    { name: 'codesPerMailboxDay', key },
    ...(registrationId === undefined ? [] : [{ name: 'claimMailPerAgent', key: registrationId } as const]),
    { name: 'claimMailPerIp', key: address.limitKey },
  ];
}

/**
 * Returns the counters that one attempt of a claim consumes. An attempt without a mail does not consume those of the
 * mailbox.
 *
 * @param mailbox canonical
 */
export function claimAttemptLimits(
  mailbox: string,
  address: Address,
  registrationId: string,
  isMailed: boolean,
): LimitCounter[] {
  const counters = claimMailLimits(mailbox, address, registrationId);
  return isMailed ? counters : counters.filter(({ name }) => name.startsWith('claimMail'));
}

/**
 * Returns the counters that one guess at the code of a claim consumes, beside SERVICE_GUESS_LIMITS (S-05 to S-07). A right
 * guess is refunded. The mailbox comes first: its row lock serializes all guesses at one mailbox, over all claims and
 * replicas.
 *
 * @param mailbox canonical
 */
export function claimGuessLimits(mailbox: string, address: Address): LimitCounter[] {
  return [
    { name: 'wrongPerMailboxDay', key: mailboxLimitKey(mailbox) },
    { name: 'wrongPerIpHour', key: address.limitKey },
  ];
}

/**
 * Returns the counters that one sign-in mail consumes. Those of claims are separate, since third parties can exhaust
 * them for a mailbox. One address can consume only a share of a mailbox's limit, so that a third party at the sign-in
 * page locks nobody out (docs/adr/0004-codes-and-limits.md).
 *
 * @param mailbox canonical
 * @param accountId of a signed-in user who verifies again; only that user consumes its counter
 */
export function signInMailLimits(mailbox: string, address: Address, accountId?: string): LimitCounter[] {
  const key = mailboxLimitKey(mailbox);
  if (accountId !== undefined) return [{ name: 'signInMailPerMailboxIp', key: accountId }];
  return [
    { name: 'signInMailPerMailboxIp', key: `${key} ${address.limitKey}` },
    { name: 'signInMailPerMailbox', key },
    { name: 'signInMailPerIp', key: address.limitKey },
  ];
}

/** Returns the counters that one guess at a sign-in code consumes; see claimGuessLimits(). */
export function signInGuessLimits(mailbox: string, address: Address): LimitCounter[] {
  return [
    { name: 'signInWrongPerMailboxDay', key: mailboxLimitKey(mailbox) },
    { name: 'signInWrongPerIpHour', key: address.limitKey },
  ];
}

/**
 * Returns the counters that one guess at a second factor consumes. Only a user who proved the mailbox can consume them.
 */
export function secondFactorLimits(mailbox: string): LimitCounter[] {
  return [{ name: 'secondFactorWrongPerMailboxDay', key: mailboxLimitKey(mailbox) }];
}

/**
 * The counter of all wrong guesses at the service. All requests share it: consume it by `sharedLimits` of useCase().
 */
export const SERVICE_GUESS_LIMITS: readonly LimitCounter[] = [{ name: 'wrongPerServiceDay', key: '' }];
