import type { DevMailbox } from '../../mail/dev-mailbox.ts';
import type { Answer, Call } from '../route.ts';
import type { Pages } from './pages.ts';

/** The mail that was caught on this machine, as a page. */
export function devMailboxPage(
  pages: Pages,
  devMailbox: DevMailbox,
): (call: Call<unknown, 'visitor'>) => Answer {
  return ({ caller }) => pages.show(caller, 'dev-mailbox', { mails: devMailbox.list() });
}

/** The same for programs: newest first. */
export function devMailboxJson(devMailbox: DevMailbox): () => Answer {
  return () => ({
    type: 'application/json; charset=utf-8',
    text: JSON.stringify({ mails: devMailbox.list() }, null, 2),
  });
}
