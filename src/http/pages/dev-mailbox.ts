import { Failure } from '../../errors.ts';
import type { DevMailbox } from '../../mail/dev-mailbox.ts';
import { type HandlerResult, type Operation, operation } from '../server/table.ts';
import type { Pages } from './pages.ts';

const summary = 'Mail that was caught on this machine';

/** GET /dev/mailbox: shows the mail that a development server keeps instead of sending it. */
export function mailboxPage(pages: Pages, mailbox: DevMailbox): Operation<'browser'> {
  return operation({
    caller: 'browser',
    summary,
    handle: ({ caller }) => allowFrames(pages.show(caller, 'dev-mailbox', { mails: mailbox.list() })),
  });
}

/** GET /dev/mailbox/:number: returns the HTML part of a mail, for the frame in which the page shows it. */
export function mailboxMail(mailbox: DevMailbox): Operation<'anyone'> {
  return operation({
    caller: 'anyone',
    summary,
    handle({ params }) {
      const mail = mailbox.find(params.number!);
      if (mail === undefined) throw new Failure('notFound', 'This mail is not in the development mailbox.');
      return {
        type: 'text/html; charset=utf-8',
        text: mail.html,
        headers: { 'Content-Security-Policy': MAIL_POLICY },
      };
    },
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

/** A mail loads nothing, runs nothing, and stands in frames of this service alone. Its styles are inline. */
const MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";

/** Lets a page hold frames of this service. */
function allowFrames(page: HandlerResult): HandlerResult {
  const policy = `${page.headers?.['Content-Security-Policy']}; frame-src 'self'`;
  return { ...page, headers: { ...page.headers, 'Content-Security-Policy': policy } };
}
