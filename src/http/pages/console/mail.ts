import { z } from 'zod';
import {
  countMail,
  type FoundMail,
  findMails,
  findMailsById,
  MAIL_STATES,
  retryAllMails,
  retryMails,
} from '../../../domain/operators/mail.ts';
import { Failure } from '../../../errors.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { checkedNames, formSchema, type Problem } from '../forms.ts';
import { readOneOf } from '../lists.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { readAct, reasonField } from './acts.ts';
import { createMenu, presentList, readCursor } from './lists.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of the outbox: what waits, what was given up, and sending some of that again. */

const none = undefined;
const PATH = CONSOLE.mail;
const MENUS = [createMenu('state', MAIL_STATES)];

/** How many mails are chosen at once: a page of the list. */
const RETRIED_MAX = 50;

/** The reason, and each mail that is to be sent again, `mail:out_…`; or all of them. */
const retryForm = formSchema({ reason: reasonField, all: z.literal('on').optional() }).catchall(
  z.string().max(64),
);

export function mailRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, mailPage(pages)),
    row('GET', `${PATH}/retry`, 'operator', none, retryPage(pages)),
    row('POST', `${PATH}/retry`, 'operator', none, retry(pages)),
  ];
}

/** GET /console/mail: the mails that wait, or with `?state=dead` those that were given up. */
function mailPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Mail that waits or could not be delivered',
    async handle({ deps, caller, query }) {
      const state = readOneOf(query, 'state', MAIL_STATES) ?? 'waiting';
      const [found, counts] = await Promise.all([findMails(deps, state, readCursor(query)), countMail(deps)]);
      const { list, paging } = presentList(PATH, query, MENUS, { next: found.next });
      return showConsole(pages, caller, 'mail', 'mail', { state, mails: found.mails, counts, list, paging });
    },
  });
}

/** GET /console/mail/retry?id=… or ?all=on: asks whether to send mails again, and why. */
function retryPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before mail is sent again',
    handle(call) {
      const { caller, query } = call;
      const draft = caller.draft(`${PATH}/retry`);
      const ids = draft === undefined ? query.getAll('id') : checkedNames(draft, 'mail');
      const isAll = (draft === undefined ? query.get('all') : draft.all) === 'on';
      return showRetry(pages, call, isAll ? 'all' : ids, draft?.reason);
    },
  });
}

/** POST /console/mail/retry: sends mails again. */
function retry(pages: Pages) {
  return formOperation({
    caller: 'operator',
    summary: 'Send mail again',
    form: retryForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const ids = checkedNames(body, 'mail').slice(0, RETRIED_MAX);
      const chosen = body.all === 'on' ? 'all' : ids;
      const act = readAct(call, body.reason);
      if ('key' in act) return showRetry(pages, call, chosen, body.reason, act);
      const count =
        chosen === 'all'
          ? await retryAllMails(deps, origin, act)
          : (await retryMails(deps, origin, act, chosen)).length;
      if (count === 0 && chosen !== 'all' && (await findMailsById(deps, ids)).length === 0) throw notFound();
      return redirect(deps.config, PATH, caller.cookies, count === 0 ? 'nothingToRetry' : 'mailRetried');
    },
  });
}

async function showRetry(
  pages: Pages,
  { deps, caller }: Pick<OperatorCall, 'deps' | 'caller'>,
  chosen: readonly string[] | 'all',
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const dead = `${PATH}?state=dead` as const;
  let mails: FoundMail[] = [];
  if (chosen !== 'all') {
    if (chosen.length === 0) return redirect(deps.config, dead, caller.cookies, 'nothingSelected');
    const found = await findMailsById(deps, [...new Set(chosen)].slice(0, RETRIED_MAX));
    if (found.length === 0) throw notFound();
    mails = found.filter(({ canRetry }) => canRetry);
    if (mails.length === 0) return redirect(deps.config, dead, caller.cookies, 'nothingToRetry');
  }
  const values = { mails, isAll: chosen === 'all', reason, problem };
  return showConsole(pages, caller, 'mail', 'retry-mail', values);
}

function notFound(): Failure {
  return new Failure('notFound', 'There are no such mails.');
}
