import type { Limits, Rate } from '../../config/limits.ts';
import type { Address } from '../../lib/address.ts';
import { mailboxLimitKey } from '../../lib/mailbox.ts';

type RateName = {
  [Name in keyof Limits]: Limits[Name] extends Rate ? Name : never;
}[keyof Limits];

/** One counter to spend from: which budget, and whose. */
export interface LimitCounter {
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

/** The counters that an anonymous or asserted registration costs. */
export function registrationLimits(address: Address): LimitCounter[] {
  return [
    { name: 'registerPerIp', key: address.limitKey },
    { name: 'registerPerService', key: '' },
  ];
}

/**
 * The counters that one mailed code of a claim costs (S-46). Mailboxes count without their `+tag` (S-05, S-41).
 * @param registrationId whose claim it is for, if it is for one
 */
export function mailLimits(mailbox: string, address: Address, registrationId?: string): LimitCounter[] {
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
export function attemptLimits(
  mailbox: string,
  address: Address,
  registrationId: string,
  isMailed: boolean,
): LimitCounter[] {
  const counters = mailLimits(mailbox, address, registrationId);
  return isMailed ? counters : counters.filter(({ name }) => name.startsWith('claimMail'));
}

/**
 * The counters that one guess costs until it turns out right, beside that of the service (S-05 to S-07). The mailbox comes first: its row is the lock
 * behind which all guesses at one mailbox, over all claims and replicas, wait.
 */
export function guessLimits(mailbox: string, address: Address): LimitCounter[] {
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
export function signInMailLimits(mailbox: string, address: Address, accountId?: string): LimitCounter[] {
  const key = mailboxLimitKey(mailbox);
  if (accountId !== undefined) return [{ name: 'signInMailPerMailboxIp', key: accountId }];
  return [
    { name: 'signInMailPerMailboxIp', key: `${key} ${address.limitKey}` },
    { name: 'signInMailPerMailbox', key },
    { name: 'signInMailPerIp', key: address.limitKey },
  ];
}

/** The counters that one guess at the code of a sign-in costs until it turns out right; as guessLimits. */
export function signInGuessLimits(mailbox: string, address: Address): LimitCounter[] {
  return [
    { name: 'signInWrongPerMailboxDay', key: mailboxLimitKey(mailbox) },
    { name: 'signInWrongPerIpHour', key: address.limitKey },
  ];
}

/** The same for a second factor, of those who have proven the mailbox. */
export function secondFactorLimits(mailbox: string): LimitCounter[] {
  return [{ name: 'secondFactorWrongPerMailboxDay', key: mailboxLimitKey(mailbox) }];
}

/** What one guess costs of all guesses at the service: to be taken by withSharedCounters(). */
export const SERVICE_GUESS: readonly LimitCounter[] = [{ name: 'wrongPerServiceDay', key: '' }];
