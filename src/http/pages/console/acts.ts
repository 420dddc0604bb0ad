import { z } from 'zod';
import type { Deps } from '../../../deps.ts';
import { type OperatorAct, REASON_MAX, readReason } from '../../../domain/audit/operator-acts.ts';
import type { RequestOrigin } from '../../../work.ts';
import type { Flash } from '../../server/flash.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { redirect } from '../pages.ts';
import type { OperatorCall } from './show.ts';

/** The acts of an operator, each of which takes a reason. The template `console-reason.eta` shows its field. */

const none = undefined;

/** The field of a form; readAct() says whether it is too long. */
export const reasonField = z.string().default('');

const actForm = formSchema({ reason: reasonField });

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

/** What an operator does with one thing of a list, after a page that asks why. */
export interface Act {
  /** The last part of the path. */
  name: string;
  /** The page that asks, and the act, as the table of routes has them. */
  page: { summary: string };
  deed: { summary: string };
  /** What the page of the thing says after it. */
  flash: Flash;
  /**
   * Shows the page that asks.
   *
   * @throws Failure `notFound` also where the thing allows no such act
   */
  show(
    call: Pick<OperatorCall, 'deps' | 'caller' | 'params'>,
    entered: { reason: string | undefined; problem: Problem | undefined },
  ): Promise<HandlerResult>;
  act(deps: Deps, origin: RequestOrigin, by: OperatorAct, id: string): Promise<unknown>;
}

/** The rows of GET and POST LIST/:id/NAME. */
export function actRows(list: `/${string}`, { name, page, deed, flash, show, act }: Act): Row[] {
  const path = `${list}/:id/${name}` as const;
  const ask = operation({
    caller: 'operator',
    summary: page.summary,
    handle(call) {
      const draft = call.caller.draft(`${pathOfThing(list, call.params.id!)}/${name}`);
      return show(call, { reason: draft?.reason, problem: undefined });
    },
  });
  const perform = formOperation({
    caller: 'recentlyVerifiedOperator',
    summary: deed.summary,
    form: actForm,
    async handle(call) {
      const { deps, origin, caller, body, params } = call;
      const by = readAct(call, body.reason);
      if ('key' in by) return show(call, { reason: body.reason, problem: by });
      await act(deps, origin, by, params.id!);
      return redirect(deps.config, pathOfThing(list, params.id!), caller.cookies, flash);
    },
  });
  return [
    row('GET', path, 'operator', none, ask),
    row('POST', path, 'recentlyVerifiedOperator', none, perform),
  ];
}

/** Returns the path of a thing. The id of an OAuth client with a document is its URL. */
export function pathOfThing(list: `/${string}`, id: string): `/${string}` {
  return `${list}/${encodeURIComponent(id)}`;
}
