import { z } from 'zod';
import { type OperatorAct, REASON_MAX, readReason } from '../../../domain/audit/operator-acts.ts';
import type { Problem } from '../forms.ts';
import type { OperatorCall } from './show.ts';

/** The reason that every act of an operator takes. The template `console-reason.eta` shows its field. */

/** The field of a form; readAct() says whether it is too long. */
export const reasonField = z.string().default('');

/**
 * Reads the reason of an act.
 *
 * @returns who acts and why; or what is wrong with the field
 */
export function readAct({ caller }: Pick<OperatorCall, 'caller'>, typed: string): OperatorAct | Problem {
  const { reason, fault } = readReason(typed);
  if (fault === 'missing') return { key: 'console.reasonMissing', field: 'reason' };
  if (fault === 'long') return { key: 'console.reasonLong', values: { max: REASON_MAX }, field: 'reason' };
  return { accountId: caller.session.accountId, reason };
}
