import { z } from 'zod';
import {
  allowMail,
  findSuppressedMailboxes,
  findSuppressionsOf,
  openSuppressed,
} from '../../../domain/operators/suppressed-mailboxes.ts';
import { Failure } from '../../../errors.ts';
import { mailboxLimitKey, maskMailbox, parseMailbox } from '../../../lib/mailbox.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { type HandlerResult, operation, type Row, row } from '../../server/table.ts';
import { formSchema, type Problem } from '../forms.ts';
import { formOperation } from '../operations.ts';
import { type Pages, redirect } from '../pages.ts';
import { readAct, reasonField } from './acts.ts';
import { presentList, readCursor, readSearch } from './lists.ts';
import { type OperatorCall, showConsole } from './show.ts';

/** The console's pages of mailboxes whose owners want no mail of agents. */

const none = undefined;
const PATH = `${CONSOLE.mail}/suppressed` as const;
const ALLOW_PATH = `${CONSOLE.mail}/allow` as const;
const SEALED_MAX = 700;

const allowForm = formSchema({ sealed: z.string().max(SEALED_MAX).default(''), reason: reasonField });

export function suppressedRows(pages: Pages): Row[] {
  return [
    row('GET', PATH, 'operator', none, suppressedPage(pages)),
    row('GET', ALLOW_PATH, 'operator', none, allowPage(pages)),
    row('POST', ALLOW_PATH, 'operator', none, allow(pages)),
  ];
}

/** GET /console/mail/suppressed: those that get no mail of any agent; with `?q=`, one mailbox. */
function suppressedPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Mailboxes that want no mail of agents',
    async handle({ deps, caller, query }) {
      const search = readSearch(query);
      const mailbox = search === '' ? undefined : parseMailbox(search);
      const found =
        search === ''
          ? await findSuppressedMailboxes(deps, readCursor(query))
          : {
              suppressed: mailbox === undefined ? [] : await findSuppressionsOf(deps, mailbox),
              next: undefined,
            };
      const { list, paging, problem } = presentList(PATH, query, [], { next: found.next });
      const wrong: Problem | undefined =
        problem ??
        (search !== '' && mailbox === undefined
          ? { key: 'console.mail.problem.mailbox', field: 'q' }
          : undefined);
      const values = { suppressed: found.suppressed, list, paging, problem: wrong };
      return showConsole(pages, caller, 'mail', 'suppressed', values);
    },
  });
}

/** GET /console/mail/allow?mailbox=…: asks whether agents may mail a mailbox again, and why. */
function allowPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'Ask before mail is allowed again',
    handle(call) {
      const draft = call.caller.draft(ALLOW_PATH);
      const sealed = draft?.sealed ?? call.query.get('mailbox') ?? '';
      // Whoever had to sign in first comes back without it.
      if (sealed === '') return redirect(call.deps.config, PATH, call.caller.cookies);
      return showAllow(pages, call, sealed, draft?.reason);
    },
  });
}

/** POST /console/mail/allow: allows it. */
function allow(pages: Pages) {
  return formOperation({
    caller: 'operator',
    summary: 'Allow mail again',
    form: allowForm,
    async handle(call) {
      const { deps, origin, caller, body } = call;
      const act = readAct(call, body.reason);
      if ('key' in act) return showAllow(pages, call, body.sealed, body.reason, act);
      if (!(await allowMail(deps, origin, act, openSuppressed(deps, body.sealed)))) throw notFound();
      return redirect(deps.config, PATH, caller.cookies, 'accountMailChanged');
    },
  });
}

async function showAllow(
  pages: Pages,
  { deps, caller }: Pick<OperatorCall, 'deps' | 'caller'>,
  sealed: string,
  reason: string | undefined,
  problem?: Problem,
): Promise<HandlerResult> {
  const mailbox = openSuppressed(deps, sealed);
  if ((await findSuppressionsOf(deps, mailboxLimitKey(mailbox))).length === 0) throw notFound();
  const values = { mailbox: maskMailbox(mailbox), sealed, reason, problem };
  return showConsole(pages, caller, 'mail', 'allow-mail', values);
}

function notFound(): Failure {
  return new Failure('notFound', 'This address gets all mail.');
}
