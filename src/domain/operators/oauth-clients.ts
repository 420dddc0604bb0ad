import type { Deps } from '../../deps.ts';
import { formatNumberMark, PAGE_ROWS_MAX, parseNumberMark } from '../../lib/list-pages.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { parseScope } from '../../lib/scopes.ts';
import {
  type ClientSearch,
  type ClientStatus,
  type FoundClientRow,
  findClientFound,
  findClientWindowEnd,
  listClientsFound,
  listConsentsOfClient,
} from '../../store/client-search.ts';
import { type OAuthClient, toOAuthClient } from '../apps/clients.ts';
import { type AuditEntry, listEventsAbout } from './audit-entries.ts';
import { type FoundPage, NOTHING_FOUND, readFoundPage } from './found-page.ts';
import { readSearchText } from './search.ts';

/** All OAuth clients, as operators see them. */

export const CLIENT_STATUSES = ['active', 'unused', 'suspended', 'ended'] as const satisfies ClientStatus[];
export const CLIENT_ORIGINS = ['dynamic', 'document', 'person', 'operator'] as const;

/** A request for one page of clients. */
export interface ClientsQuery {
  /** As typed: the start of a name or id, the mailbox or id of the human who registered it, the URL of a document. */
  search: string;
  status: ClientStatus | undefined;
  origin: (typeof CLIENT_ORIGINS)[number] | undefined;
  /** The `next` of the page before. */
  before: string | undefined;
}

/** A client as an operator sees it; times in epoch ms. */
export interface FoundClient extends OAuthClient {
  status: ClientStatus;
  endedAt: number | undefined;
  /** The human who registered it, with a masked mailbox. */
  registeredBy: { id: string; mailbox: string | undefined } | undefined;
}

/** Lists one page of the clients that a query finds, newest first. */
export async function findClients(
  { db }: Pick<Deps, 'db'>,
  query: ClientsQuery,
): Promise<FoundPage<FoundClient>> {
  const search = toSearch(query);
  if (search === undefined) return NOTHING_FOUND;
  const at = query.before === undefined ? undefined : ({ side: 'after', mark: query.before } as const);
  const before = parseNumberMark(at);
  const page = await readFoundPage(
    PAGE_ROWS_MAX,
    (limit) => listClientsFound(db, search, before, limit),
    ({ createdAt, id }) => formatNumberMark(createdAt, id),
    async () => {
      const end = await findClientWindowEnd(db, search, before);
      return end && formatNumberMark(end.key, end.id);
    },
  );
  return { ...page, items: page.items.map(toFoundClient) };
}

/** One client with what people let it do, and its newest events. */
export interface ShownClient {
  client: FoundClient;
  consents: {
    id: string;
    accountId: string;
    mailbox: string | undefined;
    scopes: string[];
    createdAt: number;
    usedAt: number | undefined;
  }[];
  /** Whether there are more consents. */
  hasMore: boolean;
  events: AuditEntry[];
}

const EVENTS_SHOWN = 20;
const CONSENTS_SHOWN = 20;

/** Shows one client, also after it has ended. @returns undefined if none has this id */
export async function showClient(deps: Deps, id: string): Promise<ShownClient | undefined> {
  const row = await findClientFound(deps.db, id);
  if (row === undefined) return undefined;
  const consents = await listConsentsOfClient(deps.db, id, deps.clock(), CONSENTS_SHOWN + 1);
  return {
    client: toFoundClient(row),
    consents: consents.slice(0, CONSENTS_SHOWN).map(({ mailbox, scope, usedAt, ...rest }) => ({
      ...rest,
      mailbox: mailbox === null ? undefined : maskMailbox(mailbox),
      scopes: parseScope(scope),
      usedAt: usedAt ?? undefined,
    })),
    hasMore: consents.length > CONSENTS_SHOWN,
    events: await listEventsAbout(deps, { subject: id }, EVENTS_SHOWN),
  };
}

/** @returns undefined if the text finds nothing whatever there is */
function toSearch({ search, status, origin }: ClientsQuery): ClientSearch | undefined {
  const text = readSearchText(search);
  const rest = { status, origin };
  switch (text.by) {
    case 'nothing':
      return rest;
    case 'mailbox':
      return { mailbox: text.mailbox, ...rest };
    case 'id':
      return text.prefix === 'usr' ? { owner: text.start, ...rest } : { nameStart: text.start, ...rest };
    case 'issuer':
      return { nameStart: text.issuer, ...rest };
    case 'name':
    case 'network':
      return { nameStart: text.start, ...rest };
    case 'key':
    case 'secret':
      return undefined;
  }
}

function toFoundClient({ ownerMailbox, ...row }: FoundClientRow): FoundClient {
  const { owner, usedAt, suspendedAt, endedAt } = row;
  const status =
    endedAt !== null ? 'ended' : suspendedAt !== null ? 'suspended' : usedAt === null ? 'unused' : 'active';
  return {
    ...toOAuthClient(row),
    status,
    endedAt: endedAt ?? undefined,
    registeredBy:
      owner === null
        ? undefined
        : { id: owner, mailbox: ownerMailbox === null ? undefined : maskMailbox(ownerMailbox) },
  };
}
