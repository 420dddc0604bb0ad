import type { DevMailbox } from '../../mail/dev-mailbox.ts';
import { type Operation, operation } from '../server/table.ts';
import type { Pages } from './pages.ts';

const summary = 'Mail that was caught on this machine';

/** GET /dev/mailbox: shows the mail that a development server keeps instead of sending it. */
export function mailboxPage(pages: Pages, mailbox: DevMailbox): Operation<'browser'> {
  return operation({
    caller: 'browser',
    summary,
    handle: ({ caller }) => pages.show(caller, 'dev-mailbox', { mails: mailbox.list() }),
  });
}

/** GET /dev/mailbox.json: returns the same mail as JSON, newest first. */
export function mailboxJson(mailbox: DevMailbox): Operation<'anyone'> {
  return operation({
    caller: 'anyone',
    summary,
    handle: () => ({
      type: 'application/json; charset=utf-8',
      text: JSON.stringify({ mails: mailbox.list() }, null, 2),
    }),
  });
}
