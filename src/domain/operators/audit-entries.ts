import type { Deps } from '../../deps.ts';
import { parseAddress } from '../../lib/address.ts';
import { PAGE_ROWS_MAX } from '../../lib/list-pages.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { listMailboxes } from '../../store/accounts.ts';
import { type EventRow, listEventsOf, listEventsOfSubject, listOperatingEvents } from '../../store/events.ts';

/** The audit log as operators see it: who, what, on what, from which network. The catalogue has `audit.KIND`. */

/** An event as an operator sees it. */
export interface AuditEntry {
  id: string;
  /** Epoch ms. */
  at: number;
  kind: string;
  /** The account that it is about, or that did it, and its masked mailbox if it has one. */
  account: { id: string; mailbox: string | undefined } | undefined;
  agentId: string | undefined;
  /** The shared workspace that it happened in. */
  workspaceId: string | undefined;
  /** The id of what it is about, if that is neither the account nor the agent. */
  subject: string | undefined;
  /** The coarse network; undefined: a job, or the command line. */
  network: string | undefined;
  requestId: string | undefined;
  details: Readonly<Record<string, string | number | boolean>>;
}

/** Prepares events for an operator, with one statement for all of a page. */
export async function toAuditEntries(
  { db }: Pick<Deps, 'db'>,
  events: readonly EventRow[],
): Promise<AuditEntry[]> {
  const mailboxes = new Map<string, string | null>();
  const accountIds = [...new Set(events.flatMap(({ accountId }) => accountId ?? []))];
  for (let start = 0; start < accountIds.length; start += PAGE_ROWS_MAX) {
    const found = await listMailboxes(db, accountIds.slice(start, start + PAGE_ROWS_MAX));
    for (const [id, mailbox] of found) mailboxes.set(id, mailbox);
  }
  return events.map((event) => ({
    id: event.id,
    at: event.at,
    kind: event.kind,
    account:
      event.accountId === null ? undefined : accountOf(event.accountId, mailboxes.get(event.accountId)),
    agentId: event.agentId ?? undefined,
    workspaceId: event.workspaceId ?? undefined,
    subject: event.subject ?? undefined,
    network:
      event.address === null || event.address === 'local' ? undefined : parseAddress(event.address).coarse,
    requestId: event.requestId ?? undefined,
    details: event.details === null ? {} : JSON.parse(event.details),
  }));
}

/** Lists the newest events about the service itself and what operators did. */
export async function listLatestEvents(deps: Pick<Deps, 'db'>, limit: number): Promise<AuditEntry[]> {
  return toAuditEntries(deps, await listOperatingEvents(deps.db, '~', limit));
}

/** Lists the newest events of an agent or an account, or about something else by its id. */
export async function listEventsAbout(
  deps: Pick<Deps, 'db'>,
  target: { accountId: string } | { agentId: string } | { subject: string },
  limit: number,
): Promise<AuditEntry[]> {
  const events =
    'subject' in target
      ? await listEventsOfSubject(deps.db, target.subject, limit)
      : await listEventsOf(deps.db, target, undefined, limit);
  return toAuditEntries(deps, events);
}

function accountOf(id: string, mailbox: string | null | undefined): AuditEntry['account'] {
  return { id, mailbox: mailbox ? maskMailbox(mailbox) : undefined };
}
