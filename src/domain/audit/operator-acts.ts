import { singleLine } from '../../lib/untrusted-text.ts';
import type { Work } from '../../work.ts';
import { type AuditEvent, type EventKind, recordEvent } from './audit-log.ts';

/** The longest reason of an act, in characters. */
export const REASON_MAX = 200;

/**
 * Cleans the reason that an operator typed.
 *
 * @returns the reason in one line, or what is wrong with it
 */
export function readReason(
  typed: string,
): { reason: string; fault: undefined } | { reason: undefined; fault: 'missing' | 'long' } {
  const reason = singleLine(typed, typed.length + 1);
  const { length } = [...reason];
  if (length === 0) return { reason: undefined, fault: 'missing' };
  return length > REASON_MAX ? { reason: undefined, fault: 'long' } : { reason, fault: undefined };
}

/** Who acts as an operator, and why. */
export interface OperatorAct {
  /** The operator's account; undefined: somebody at the command line. */
  accountId: string | undefined;
  /** One line, at most 200 characters; undefined: none was given, which only the command line may do. */
  reason: string | undefined;
}

/** Somebody at the command line who gives no reason. */
export const AT_COMMAND_LINE: OperatorAct = { accountId: undefined, reason: undefined };

/** The reason of an act as a detail of its event. */
export function reasonDetails({ reason }: OperatorAct): { reason?: string } {
  return reason === undefined ? {} : { reason };
}

/** The kinds of events that say what an operator did. */
export type OperatorEventKind = Extract<EventKind, `operator.${string}`>;

/**
 * Writes what an operator did to the audit log, under the operator's account, in the transaction of the change. What
 * happened to the thing has an event of its own, under the account of its owner; the request id is the same.
 *
 * @param event.subject the id of what was acted on: an agent, a key, an account, a resource server
 */
export async function recordOperatorEvent(
  work: Work,
  act: OperatorAct,
  event: Pick<AuditEvent, 'details'> & { kind: OperatorEventKind; subject: string },
): Promise<void> {
  await recordEvent(work, {
    ...event,
    accountId: act.accountId,
    details: { ...event.details, ...reasonDetails(act) },
  });
}
