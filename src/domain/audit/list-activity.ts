import type { Deps } from '../../deps.ts';
import { type ListMark, type ListPage, PAGE_ROWS, parseIdMark, readPage } from '../../lib/list-pages.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { findCredential } from '../../store/credentials.ts';
import { type EventSelection, listEventsOf, listSelectedEvents } from '../../store/events.ts';
import { findOwnedAgent, listOwnedPage } from '../../store/owned-agents.ts';
import { listPersonalPage } from '../../store/personal-credentials.ts';
import { EVENT_KINDS } from './audit-log.ts';
import { describeEvents } from './describe-events.ts';

/** The activity of an account: the events of its audit log. */

/** What activity can be narrowed to, by how the kinds of its events begin. */
const GROUPS = {
  agents: ['claim', 'agent', 'host', 'capability', 'assertion', 'principal', 'token', 'refresh_token'],
  keys: ['key', 'app_key'],
  apps: ['app', 'client'],
  workspaces: ['workspace', 'member', 'invitation', 'place', 'app_key'],
  signIn: ['session', 'authenticator', 'recovery_codes', 'recovery_code'],
  account: ['account', 'mail', 'limit', 'operator'],
} as const satisfies Record<string, readonly string[]>;

export type ActivityGroup = keyof typeof GROUPS;
export const ACTIVITY_GROUPS = Object.keys(GROUPS) as ActivityGroup[];

/** A request for a page of activity. */
export interface ActivityQuery {
  group?: ActivityGroup | undefined;
  /** Only what is about this agent or key. */
  about?: ActivitySubject | undefined;
  /** Only what is about agents or keys whose name or id starts like this. */
  search?: string | undefined;
  at?: ListMark | undefined;
}

/** An agent or a personal key that activity can be about. */
export interface ActivitySubject {
  id: string;
  /** As somebody wrote it; undefined: it has none. */
  name: string | undefined;
  kind: 'agent' | 'key';
}

/** A page of activity. */
export interface ActivityPage extends ListPage<ActivityEntry> {
  /** Whether more agents, or keys, match the search than are looked up: those used last, or created last. */
  isPartial: boolean;
}

/** Lists one page of the events of an account, newest first. */
export async function listActivity(
  deps: Pick<Deps, 'db'>,
  accountId: string,
  { group, about, search, at }: ActivityQuery,
): Promise<ActivityPage> {
  const { db } = deps;
  const found = search === undefined ? undefined : await findSubjects(deps, accountId, search);
  const subjects =
    about === undefined ? found?.subjects : (found?.subjects ?? [about]).filter(({ id }) => id === about.id);
  const selection: EventSelection = {
    kinds: group === undefined ? undefined : kindsOf(group),
    about: subjects && {
      agentIds: subjects.filter(({ kind }) => kind === 'agent').map(({ id }) => id),
      keyIds: subjects.filter(({ kind }) => kind === 'key').map(({ id }) => id),
    },
  };
  const isNarrowed = selection.kinds !== undefined || selection.about !== undefined;
  const page = await readPage(
    parseIdMark(at),
    PAGE_ROWS,
    (place, limit) =>
      isNarrowed
        ? listSelectedEvents(db, accountId, selection, place, limit)
        : listEventsOf(db, { accountId }, place, limit),
    (event) => event.id,
  );
  return {
    ...page,
    items: await describeEvents(deps, page.items),
    isPartial: found?.isPartial ?? false,
  };
}

/** Lists the newest events of an account, at most so many. */
export async function listNewestActivity(
  deps: Pick<Deps, 'db'>,
  accountId: string,
  max: number,
): Promise<ActivityEntry[]> {
  return describeEvents(deps, await listEventsOf(deps.db, { accountId }, undefined, max));
}

/** Lists agents and keys to choose from: the agents of an account that were used last, and its newest keys. */
export async function listSubjects(deps: Pick<Deps, 'db'>, accountId: string): Promise<ActivitySubject[]> {
  return (await findSubjects(deps, accountId, undefined)).subjects;
}

/** Finds an agent or a personal key of an account. @returns undefined also for one of another account */
export async function findSubject(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  id: string,
): Promise<ActivitySubject | undefined> {
  if (id.startsWith('agt_')) {
    const agent = await findOwnedAgent(db, accountId, id);
    return agent && toSubject(agent, 'agent');
  }
  const key = await findCredential(db, id);
  return key !== undefined && key.kind === 'key' && key.agentId === null && key.accountId === accountId
    ? toSubject(key, 'key')
    : undefined;
}

async function findSubjects(
  { db }: Pick<Deps, 'db'>,
  accountId: string,
  search: string | undefined,
): Promise<{ subjects: ActivitySubject[]; isPartial: boolean }> {
  const order = { by: 'used', isDescending: true } as const;
  const filter = { search, state: undefined };
  const [agents, keys] = await Promise.all([
    listOwnedPage(db, accountId, { ...filter, lifetimeStart: 0 }, order, undefined, PAGE_ROWS + 1),
    listPersonalPage(db, accountId, { ...filter, now: 0 }, undefined, PAGE_ROWS + 1),
  ]);
  return {
    subjects: [
      ...agents.slice(0, PAGE_ROWS).map((agent) => toSubject(agent, 'agent')),
      ...keys.slice(0, PAGE_ROWS).map((key) => toSubject(key, 'key')),
    ],
    isPartial: agents.length > PAGE_ROWS || keys.length > PAGE_ROWS,
  };
}

function toSubject(row: { id: string; name: string | null }, kind: ActivitySubject['kind']): ActivitySubject {
  return { id: row.id, name: row.name ?? undefined, kind };
}

function kindsOf(group: ActivityGroup): string[] {
  const beginnings: readonly string[] = GROUPS[group];
  return EVENT_KINDS.filter((kind) => beginnings.includes(kind.split('.')[0]!));
}
