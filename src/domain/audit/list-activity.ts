import type { Deps } from '../../deps.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { listEventsOf } from '../../store/events.ts';
import { EVENT_KINDS } from './audit-log.ts';
import { describeEvents } from './describe-events.ts';

/** What activity can be narrowed to, by how the kinds of its events begin. */
const GROUPS = {
  agents: ['claim', 'agent', 'host', 'capability', 'assertion', 'principal', 'token', 'refresh_token'],
  keys: ['key'],
  signIn: ['session', 'authenticator', 'recovery_codes', 'recovery_code'],
  account: ['account', 'mail', 'limit', 'operator'],
} as const satisfies Record<string, readonly string[]>;

export type ActivityGroup = keyof typeof GROUPS;
export const ACTIVITY_GROUPS = Object.keys(GROUPS) as ActivityGroup[];

/**
 * Lists one page of the events of an account, newest first.
 *
 * @param query.before `next` of the page before; undefined for the first page
 * @param query.group only these events; undefined: all
 * @param limit events per page
 * @returns `next`: pass it as `before` for the next page; undefined if this page is not full
 */
export async function listActivity(
  deps: Pick<Deps, 'db'>,
  accountId: string,
  query: { before?: string | undefined; group?: ActivityGroup | undefined },
  limit: number,
): Promise<{ activity: ActivityEntry[]; next: string | undefined }> {
  const kinds = query.group === undefined ? undefined : kindsOf(query.group);
  const events = await listEventsOf(deps.db, { accountId }, query.before, limit, kinds);
  const activity = await describeEvents(deps, events);
  return { activity, next: events.length === limit ? events.at(-1)!.id : undefined };
}

function kindsOf(group: ActivityGroup): string[] {
  const beginnings: readonly string[] = GROUPS[group];
  return EVENT_KINDS.filter((kind) => beginnings.includes(kind.split('.')[0]!));
}
