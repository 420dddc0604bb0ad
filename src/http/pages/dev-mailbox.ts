import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { DevMailbox } from '../../mail/dev-mailbox.ts';
import type { Answer } from '../route.ts';

const eta = new Eta({
  views: fileURLToPath(new URL('../../../templates/pages/', import.meta.url)),
  cache: true,
  autoEscape: true,
});

/** The mail that was caught on this machine, as a page. */
export function devMailboxPage(devMailbox: DevMailbox): () => Answer {
  return () => ({
    type: 'text/html; charset=utf-8',
    text: eta.render('./dev-mailbox.eta', { mails: devMailbox.list() }),
    headers: {
      'Content-Security-Policy':
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
      'X-Frame-Options': 'DENY',
    },
  });
}

/** The same for programs: newest first. */
export function devMailboxJson(devMailbox: DevMailbox): () => Answer {
  return () => ({
    type: 'application/json; charset=utf-8',
    text: JSON.stringify({ mails: devMailbox.list() }, null, 2),
  });
}
