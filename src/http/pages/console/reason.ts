import { z } from 'zod';
import type { OperatorAct } from '../../../domain/audit/operator-acts.ts';
import { singleLine } from '../../../lib/untrusted-text.ts';
import type { Problem } from '../forms.ts';
import type { OperatorCall } from './show.ts';

/** The reason that every act of an operator takes. The template `console-reason.eta` shows its field. */

/** The longest reason, in characters. */
export const REASON_MAX = 200;

/** The field of a form. It takes more than a reason may have, so that the page can say so. */
export const reasonField = z
  .string()
  .max(4 * REASON_MAX)
  .default('');

/**
 * Reads the reason of an act.
 *
 * @returns who acts and why, cleaned to one line; or what is wrong with the field
 */
export function readAct({ caller }: Pick<OperatorCall, 'caller'>, typed: string): OperatorAct | Problem {
  const reason = singleLine(typed, 4 * REASON_MAX);
  const length = [...reason].length;
  if (length === 0) return { key: 'console.reasonMissing', field: 'reason' };
  if (length > REASON_MAX) return { key: 'console.reasonLong', values: { max: REASON_MAX }, field: 'reason' };
  return { accountId: caller.session.accountId, reason };
}
