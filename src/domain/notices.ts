import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { findAccount } from '../store/accounts.ts';
import type { Tx } from '../store/db.ts';
import { insertMail, joinWaitingNotice, lastNoticeAt } from '../store/outbox.ts';
import { type Asker, type Event, type EventKind, record } from './events.ts';

/** Mail that tells the owner of an account what just happened to it, in case it was somebody else (S-48). */

/** What they are told of. */
export const TOLD = [
  'agent.merged',
  'agent.linked',
  'agent.merge_undone',
  'agent.released',
  'agent.revoked',
  'claim.denied',
  'key.created',
  'key.expiring',
  'session.begun',
  'authenticator.added',
  'authenticator.removed',
  'recovery_codes.made',
  'recovery_code.used',
  'account.deleted',
] as const satisfies EventKind[];
type Told = Event & { kind: (typeof TOLD)[number] };

/** The first is told at once; what follows within the hour comes in one mail after it. */
const PAUSE_MS = 3_600_000;
const GIVE_UP_MS = 3 * 86_400_000;

/**
 * Writes an audit line of a human's account, and lets a mail tell its owner of it, in the transaction of the change. The mail
 * leaves with the outbox's next turn; what it says is read from the audit when it does.
 */
export async function recordAndTell(
  tx: Tx,
  deps: Deps,
  asker: Asker,
  now: number,
  ownerId: string,
  event: Told,
): Promise<void> {
  const eventId = await record(tx, deps, asker, now, { ...event, accountId: ownerId });
  if (await joinWaitingNotice(tx, ownerId)) return;
  const account = await findAccount(tx, ownerId);
  if (account === undefined || account.mailbox === null) return;
  const last = await lastNoticeAt(tx, ownerId);
  await insertMail(tx, {
    id: newId('out', now, deps.random),
    kind: 'notice',
    attemptId: ownerId,
    mailbox: account.mailbox,
    createdAt: now,
    nextAt: last === undefined ? now : Math.max(now, last + PAUSE_MS),
    giveUpAt: now + GIVE_UP_MS,
    eventId,
  });
}
