import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { type ListMark, type ListPage, mapPage, parseIdMark, readPage } from '../../lib/list-pages.ts';
import { parseScope } from '../../lib/scopes.ts';
import { listNamedPlaces, type NamedPlaceRow } from '../../store/places.ts';
import {
  findWorkspaceKey,
  listWorkspaceKeyPage,
  type WorkspaceKeyFilter,
  type WorkspaceKeyRow,
} from '../../store/workspace-keys.ts';
import type { RequestOrigin } from '../../work.ts';
import { nameToOthers } from '../accounts/account-name.ts';
import { useCase } from '../limits/use-case.ts';
import { endPlacesOfHolderIn } from '../workspaces/places.ts';
import { isManager, type Role } from '../workspaces/roles.ts';
import { lockWorkspaceAs, type Membership, requireMember } from '../workspaces/workspaces.ts';
import { isLive, type Key, toKey } from './issue.ts';

/** The keys of a workspace as its members see them: owners and admins all, everybody else those that they made. */

/** A key, and what it has in one workspace: of what it may do elsewhere nobody there learns. */
export interface WorkspaceKey extends Key {
  /** Whether it is the key of a thing, which is its place. */
  isAppKey: boolean;
  maker: { isYou: boolean; name: string | undefined };
  /** Those in this workspace; once they ended, those that it had there at last. */
  places: NamedPlaceRow[];
  /** Epoch ms: since when it does nothing here; undefined: it works here. */
  endedAt: number | undefined;
}

/**
 * Lists a page of the keys of a workspace, newest first. Ended ones stay in it.
 *
 * @param query.nodeId only those of one thing
 */
export async function listWorkspaceKeys(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  { workspaceId, accountId, role }: Pick<Membership, 'workspaceId' | 'accountId' | 'role'>,
  { at, rows, nodeId }: { at?: ListMark | undefined; rows?: number; nodeId?: string } = {},
): Promise<ListPage<WorkspaceKey>> {
  const filter: WorkspaceKeyFilter = { ...visibleTo(workspaceId, accountId, role), nodeId };
  const page = await readPage(
    parseIdMark(at),
    rows,
    (place, limit) => listWorkspaceKeyPage(db, filter, place, limit),
    (row) => row.id,
  );
  const ids = page.items.map(({ id }) => id);
  const found = ids.length === 0 ? [] : await listNamedPlaces(db, ids);
  const places = Map.groupBy(
    found.filter((place) => place.workspaceId === workspaceId),
    (place) => place.holder,
  );
  return mapPage(page, (items) =>
    items.map((row) => toWorkspaceKey(row, places.get(row.id) ?? [], accountId, clock())),
  );
}

/**
 * Finds a key of a workspace that a member may end.
 *
 * @throws Failure `notFound`, also for a key of somebody else where the role does not see it
 */
export async function findKeyOfWorkspace(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  workspaceId: string,
  keyId: string,
): Promise<WorkspaceKey> {
  const { role } = await requireMember(db, workspaceId, accountId);
  const row = await findWorkspaceKey(db, visibleTo(workspaceId, accountId, role), keyId);
  if (row === undefined) throw keyNotFound();
  const places = (await listNamedPlaces(db, [keyId])).filter((place) => place.workspaceId === workspaceId);
  return toWorkspaceKey(row, places, accountId, clock());
}

/**
 * Ends what a key may do in a workspace. A key that has no place elsewhere is revoked for good. Its person is mailed if
 * somebody else ended it.
 *
 * @throws Failure as findKeyOfWorkspace()
 */
export async function endKeyInWorkspace(
  deps: Deps,
  origin: RequestOrigin,
  accountId: string,
  workspaceId: string,
  keyId: string,
): Promise<void> {
  await useCase(deps, origin, {}, async (work) => {
    const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
    const key = await findWorkspaceKey(work.tx, visibleTo(workspaceId, accountId, role), keyId);
    if (key === undefined) throw keyNotFound();
    const ownerId = key.kind === 'app_key' ? undefined : key.accountId;
    await endPlacesOfHolderIn(work, keyId, workspaceId, ownerId, accountId);
  });
}

function visibleTo(workspaceId: string, accountId: string, role: Role): WorkspaceKeyFilter {
  return { workspaceId, grantedBy: isManager(role) ? undefined : accountId };
}

function toWorkspaceKey(
  row: WorkspaceKeyRow,
  all: readonly NamedPlaceRow[],
  readerId: string,
  now: number,
): WorkspaceKey {
  const live = all.filter(({ endedAt }) => endedAt === null);
  const places = live.length > 0 ? live : [...all];
  const key = toKey(row);
  const ends = [
    key.revokedAt,
    key.expiresAt !== null && key.expiresAt <= now ? key.expiresAt : null,
    live.length > 0 ? null : Math.max(...all.map(({ endedAt }) => endedAt ?? 0)),
  ].filter((each) => each !== null);
  return {
    ...key,
    scopes: [...new Set(places.flatMap(({ actions }) => parseScope(actions)))].sort(),
    isAppKey: row.kind === 'app_key',
    maker: {
      isYou: row.accountId === readerId,
      name: nameToOthers({ mailbox: row.makerMailbox, name: row.makerName }),
    },
    places,
    endedAt: isLive(key, now) && live.length > 0 ? undefined : Math.min(...ends),
  };
}

function keyNotFound(): Failure {
  return new Failure('notFound', 'There is no such key in this workspace.');
}
