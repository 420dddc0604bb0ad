import type { Deps } from '../../deps.ts';
import type { ActivityEntry } from '../../ports/mailer.ts';
import { listEventsOf } from '../../store/events.ts';
import { describeEvents } from './activity-text.ts';

/** What happened to an account, page by page. */

/**
 * What happened to an account, newest first.
 *
 * @param before go on before this mark of an earlier answer
 * @returns `next`: the mark for what is older still, undefined at the end
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
