import type { Deps } from '../../deps.ts';
import { formatNumberMark, PAGE_ROWS_MAX, parseNumberMark } from '../../lib/list-pages.ts';
import { maskMailbox } from '../../lib/mailbox.ts';
import { listMailboxes } from '../../store/accounts.ts';
import { listOpenInvitations } from '../../store/invitations.ts';
import { listMemberPage, type Role } from '../../store/members.ts';
import { listTrees } from '../../store/trees.ts';
import { countHoldersIn } from '../../store/workspace-holders.ts';
import {
  type FoundWorkspaceRow,
  findWorkspaceFound,
  findWorkspaceWindowEnd,
  listWorkspacesFound,
  type WorkspaceSearch,
  type WorkspaceStatus,
} from '../../store/workspace-search.ts';
import type { AuditEntry } from './audit-entries.ts';
import { findAuditEntries } from './audit-search.ts';
import { type FoundPage, NOTHING_FOUND, readFoundPage } from './found-page.ts';
import { readSearchText } from './search.ts';

/** All shared workspaces, as operators see them: mailboxes are masked. Their names are strangers' texts. */

export const WORKSPACE_STATUSES = ['active', 'ended'] as const satisfies WorkspaceStatus[];

/** A request for one page of workspaces. */
export interface WorkspacesQuery {
  /** As typed: the start of a name or id, the mailbox or id of a member. */
  search: string;
  status: WorkspaceStatus | undefined;
  /** The `next` of the page before. */
  before: string | undefined;
}

/** A workspace as an operator sees it; times in epoch ms. */
export interface FoundWorkspace {
  id: string;
  name: string;
  /** How many are in it now. */
  members: number;
  createdAt: number;
  endedAt: number | undefined;
}

/** Lists one page of the workspaces that a query finds, newest first, ended ones included. */
export async function findWorkspaces(
  { db }: Pick<Deps, 'db'>,
  query: WorkspacesQuery,
): Promise<FoundPage<FoundWorkspace>> {
  const search = toSearch(query);
  if (search === undefined) return NOTHING_FOUND;
  const at = query.before === undefined ? undefined : ({ side: 'after', mark: query.before } as const);
  const before = parseNumberMark(at);
  const page = await readFoundPage(
    PAGE_ROWS_MAX,
    (limit) => listWorkspacesFound(db, search, before, limit),
    ({ createdAt, id }) => formatNumberMark(createdAt, id),
    async () => {
      const end = await findWorkspaceWindowEnd(db, search, before);
      return end && formatNumberMark(end.key, end.id);
    },
  );
  return { ...page, items: page.items.map(toFoundWorkspace) };
}

/** One workspace with who and what is in it, and its newest events. */
export interface ShownWorkspace {
  workspace: FoundWorkspace;
  /** Who created it; the mailbox is masked, and undefined once the account was deleted. */
  createdBy: { id: string; mailbox: string | undefined };
  /** Those who joined first. */
  members: { accountId: string; mailbox: string | undefined; role: Role; joinedAt: number }[];
  /** Whether there are more members. */
  hasMore: boolean;
  openInvitations: number;
  /** What works in it now, each counted. */
  holders: { keys: number; agents: number; apps: number };
  /** How many things each API told of. */
  trees: { resource: string; nodes: number }[];
  events: AuditEntry[];
}

const MEMBERS_SHOWN = 20;
const EVENTS_SHOWN = 20;

/** Shows one workspace, also after it has ended. @returns undefined if none has this id */
export async function showWorkspace(deps: Deps, id: string): Promise<ShownWorkspace | undefined> {
  const { db } = deps;
  const row = await findWorkspaceFound(db, id);
  if (row === undefined) return undefined;
  const now = deps.clock();
  const [members, creators, invitations, holders, trees, { items: events }] = await Promise.all([
    listMemberPage(db, id, undefined, MEMBERS_SHOWN + 1),
    listMailboxes(db, [row.createdBy]),
    listOpenInvitations(db, id, now),
    countHoldersIn(db, id, now),
    listTrees(db, id),
    findAuditEntries(deps, {
      search: id,
      kind: undefined,
      since: undefined,
      until: undefined,
      before: undefined,
    }),
  ]);
  const masked = (mailbox: string | null | undefined) => (mailbox ? maskMailbox(mailbox) : undefined);
  return {
    workspace: toFoundWorkspace(row),
    createdBy: { id: row.createdBy, mailbox: masked(creators.get(row.createdBy)) },
    members: members.slice(0, MEMBERS_SHOWN).map(({ accountId, mailbox, role, joinedAt }) => ({
      accountId,
      mailbox: masked(mailbox),
      role,
      joinedAt,
    })),
    hasMore: members.length > MEMBERS_SHOWN,
    openInvitations: invitations.length,
    holders,
    trees: trees.map(({ resource, nodes }) => ({ resource, nodes })),
    events: events.slice(0, EVENTS_SHOWN),
  };
}

/** @returns undefined if the text finds nothing whatever there is */
function toSearch({ search, status }: WorkspacesQuery): WorkspaceSearch | undefined {
  const text = readSearchText(search);
  switch (text.by) {
    case 'nothing':
      return { status };
    case 'mailbox':
      return { mailbox: text.mailbox, status };
    case 'id':
      return text.prefix === 'usr' ? { accountId: text.start, status } : { nameStart: text.start, status };
    case 'name':
    case 'network':
      return { nameStart: text.start, status };
    case 'issuer':
      return { nameStart: text.issuer, status };
    case 'key':
    case 'secret':
      return undefined;
  }
}

function toFoundWorkspace({ id, name, members, createdAt, endedAt }: FoundWorkspaceRow): FoundWorkspace {
  return { id, name, members, createdAt, endedAt: endedAt ?? undefined };
}
