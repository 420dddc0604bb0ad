import type { Deps } from '../../deps.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { listEventsOf } from '../../store/events.ts';
import { describeEvents } from './activity-text.ts';

/**
 * Lists one page of the events of an account, newest first.
 *
 * @param before `next` of the page before; undefined for the first page
 * @param limit events per page
 * @returns `next`: pass it as `before` for the next page; undefined if this page is not full
 */
export async function listActivity(
  deps: Pick<Deps, 'db'>,
  accountId: string,
  before: string | undefined,
  limit: number,
): Promise<{ activity: ActivityEntry[]; next: string | undefined }> {
  const events = await listEventsOf(deps.db, { accountId }, before, limit);
  const activity = await describeEvents(deps, events);
  return { activity, next: events.length === limit ? events.at(-1)!.id : undefined };
}
