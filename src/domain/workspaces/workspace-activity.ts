import type { Deps } from '../../deps.ts';
import { type ListMark, type ListPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { listNamedAccounts } from '../../store/accounts.ts';
import { type EventRow, listEventsOf } from '../../store/events.ts';
import { nameToOthers } from '../accounts/account-name.ts';

/** The activity of a workspace, as its members see it: who, by name or masked, and never from which network. */

/** Who an event is about, or who did it. */
export interface Participant {
  isYou: boolean;
  /** As others see them; undefined: the account has ended. */
  name: string | undefined;
}

export interface WorkspaceEvent {
  kind: string;
  /** Epoch ms. */
  at: number;
  /** Whom it happened to; undefined: nobody in person. */
  person: Participant | undefined;
  /** The member who did it, if that is not `person`. */
  actor: Participant | undefined;
}

/** The kinds of events whose account is whom they happened to. Of all others it is who did it, unless they name an `actor`. */
const OF_PERSON: ReadonlySet<string> = new Set([
  'member.joined',
  'member.left',
  'member.removed',
  'member.role_changed',
]);

/** Lists a page of what happened in a workspace, newest first. */
export async function listWorkspaceActivity(
  { db }: Pick<Deps, 'db'>,
  workspaceId: string,
  readerId: string,
  { at, rows }: { at?: ListMark | undefined; rows?: number } = {},
): Promise<ListPage<WorkspaceEvent>> {
  const page = await readPage(
    parseIdMark(at),
    rows,
    (place, limit) => listEventsOf(db, { workspaceId }, place, limit),
    (event) => event.id,
  );
  const ids = page.items.flatMap((event) => [event.accountId, actorIdOf(event)]).filter((id) => id !== null);
  const accounts = await listNamedAccounts(db, [...new Set(ids)]);
  const participant = (id: string | null): Participant | undefined => {
    if (id === null) return undefined;
    return { isYou: id === readerId, name: nameToOthers(accounts.get(id)) };
  };
  const items = page.items.map((event) => {
    const { kind, at, accountId } = event;
    const actorId = actorIdOf(event);
    if (actorId === null && !OF_PERSON.has(kind)) {
      return { kind, at, person: undefined, actor: participant(accountId) };
    }
    const actor = actorId === accountId ? undefined : participant(actorId);
    return { kind, at, person: participant(accountId), actor };
  });
  return { ...page, items };
}

function actorIdOf({ details }: EventRow): string | null {
  return details === null ? null : (JSON.parse(details).actor ?? null);
}
