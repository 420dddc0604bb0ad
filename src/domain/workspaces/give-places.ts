import { Failure } from '../../errors.ts';
import { newId } from '../../lib/ids.ts';
import { parsePlacePath } from '../../lib/place-path.ts';
import { formatScope } from '../../lib/scopes.ts';
import { lockAccount } from '../../store/accounts.ts';
import { findNode } from '../../store/nodes.ts';
import { countKeysPlacedIn, insertPlace } from '../../store/places.ts';
import { lockTree } from '../../store/trees.ts';
import type { Work } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { mayIssueKeys, type Role, restrictToRole } from './roles.ts';
import { lockWorkspaceAs } from './workspaces.ts';

/** How places are given: nobody gives what they do not have themselves at that moment. */

/** One place that somebody wants to give: a workspace, or one node or path of it. */
export interface PlaceRequest {
  /** Of an account: its personal workspace, which that account alone gives places in. */
  workspaceId: string;
  /** Our id of a node. */
  nodeId?: string | undefined;
  path?: string | undefined;
  /** Types of things; undefined: all. */
  types?: readonly string[] | undefined;
  actions: readonly string[];
  /** Epoch ms; undefined: it does not end by itself. */
  expiresAt?: number | undefined;
  /** URLs of the APIs; undefined: all that understand workspaces. A place on a node is at the API of the node. */
  resources?: readonly string[] | undefined;
}

/** A place that may be given in the transaction that checked it. */
export interface AllowedPlace {
  workspaceId: string;
  resource: string | null;
  nodeId: string | null;
  path: string | null;
  types: string | null;
  actions: string;
  /** Epoch ms; without it, it does not end by itself. */
  expiresAt?: number | null | undefined;
}

const WORKSPACES_MAX = 16;
const PLACES_MAX = 200;
const PLACES_IN_WORKSPACE_MAX = 50;

/**
 * Checks places against the role that an account has now, and holds what that depends on until the transaction ends:
 * the shared workspaces, then the trees. The caller locks the account afterwards.
 *
 * @throws Failure `notFound` for a workspace that the account is not in, whether or not it exists; `forbidden` for what its
 * role may not give; `invalidPath`; `tooMany`; `badRequest` for anything else that is wrong
 *
 * @param mayGive whether a role may give such access: to keys and agents, or to apps
 */
export async function allowPlaces(
  work: Work,
  accountId: string,
  requests: readonly PlaceRequest[],
  mayGive: typeof mayIssueKeys = mayIssueKeys,
): Promise<AllowedPlace[]> {
  const workspaceIds = [...new Set(requests.map((each) => each.workspaceId))].toSorted();
  assertNumbers(requests, workspaceIds);
  const roles = new Map<string, Role>();
  for (const id of workspaceIds) roles.set(id, await lockGivingRole(work, accountId, id, mayGive));
  const nodes = await lockNodes(work, requests);
  return requests.flatMap((request) => {
    const actions = checkActions(work, request, roles.get(request.workspaceId)!);
    const place = {
      workspaceId: request.workspaceId,
      nodeId: request.nodeId ?? null,
      path: request.path === undefined ? null : (parsePlacePath(request.path) ?? null),
      types: checkTypes(work, request),
      actions,
      expiresAt: request.expiresAt,
    };
    return resourcesOf(request, nodes).map((resource) => ({ ...place, resource }));
  });
}

/**
 * Gives places that allowPlaces() returned in this transaction.
 *
 * @param holder the id of a key, an agent or a consent
 * @param grantedBy the account whose role bounds them; the workspace itself: none does
 */
export async function givePlaces(
  work: Work,
  holder: string,
  grantedBy: string,
  places: readonly AllowedPlace[],
): Promise<void> {
  const { tx, now, deps } = work;
  for (const place of places) {
    const id = newId('plc', now, deps.random);
    await insertPlace(tx, {
      ...place,
      id,
      holder,
      grantedBy,
      createdAt: now,
      expiresAt: place.expiresAt ?? null,
    });
  }
  for (const [workspaceId, given] of Map.groupBy(places, (place) => place.workspaceId)) {
    await recordEvent(work, {
      kind: 'place.given',
      accountId: grantedBy === workspaceId && !grantedBy.startsWith('usr_') ? undefined : grantedBy,
      workspaceId,
      subject: holder,
      details: { places: given.length },
    });
  }
}

/** @throws Failure `tooMany` if as many keys as may work in one of the shared workspaces, which the caller locked */
export async function assertRoomForKey(
  { tx, now, deps }: Work,
  places: readonly Pick<AllowedPlace, 'workspaceId'>[],
): Promise<void> {
  const max = deps.config.limits.placedKeysPerWorkspace;
  for (const workspaceId of new Set(places.map((place) => place.workspaceId))) {
    if (isPersonal({ workspaceId }) || (await countKeysPlacedIn(tx, workspaceId, now)) < max) continue;
    throw new Failure('tooMany', `${max} keys work in this workspace. Revoke one first.`, {
      field: 'keys',
      maximum: max,
    });
  }
}

function assertNumbers(requests: readonly PlaceRequest[], workspaceIds: readonly string[]): void {
  if (requests.length === 0) throw new Failure('badRequest', 'Name at least one place.');
  const narrowed = Map.groupBy(requests, (each) => each.workspaceId);
  const isTooMany =
    workspaceIds.length > WORKSPACES_MAX ||
    requests.reduce((sum, { resources }) => sum + (resources?.length ?? 1), 0) > PLACES_MAX ||
    [...narrowed.values()].some((places) => places.length > PLACES_IN_WORKSPACE_MAX);
  if (!isTooMany) return;
  throw new Failure(
    'tooMany',
    `At most ${WORKSPACES_MAX} workspaces, ${PLACES_IN_WORKSPACE_MAX} places in each and ${PLACES_MAX} in all.`,
  );
}

/** Locks a shared workspace. @returns the role of the account in it, which may give access to it */
async function lockGivingRole(
  work: Work,
  accountId: string,
  workspaceId: string,
  mayGive: typeof mayIssueKeys,
): Promise<Role> {
  if (workspaceId === accountId) return 'owner';
  const { role } = await lockWorkspaceAs(work, workspaceId, accountId);
  if (mayGive(work.deps.config, role)) return role;
  throw new Failure('forbidden', 'Your role in this workspace may not give access to it.');
}

/** Locks the trees of the nodes, in one order. @returns the URLs of the nodes' APIs, by node */
async function lockNodes(
  { tx, now }: Work,
  requests: readonly PlaceRequest[],
): Promise<ReadonlyMap<string, string>> {
  const resources = new Map<string, string>();
  const trees = new Map<string, { resource: string; workspaceId: string }>();
  for (const { nodeId, workspaceId } of requests) {
    if (nodeId === undefined) continue;
    const node = await findNode(tx, nodeId);
    if (node === undefined || node.workspaceId !== workspaceId) throw nodeGone();
    resources.set(nodeId, node.resource);
    trees.set(`${node.resource} ${workspaceId}`, node);
  }
  const sorted = [...trees].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, tree]) => tree);
  const [personal, shared] = [true, false].map((is) => sorted.filter((tree) => isPersonal(tree) === is));
  for (const { resource, workspaceId } of shared!) await lockTree(tx, resource, workspaceId, now);
  for (const { resource, workspaceId } of personal!) {
    // As where its API tells it: the account, then its tree.
    await lockAccount(tx, workspaceId);
    await lockTree(tx, resource, workspaceId, now);
  }
  for (const nodeId of resources.keys()) if ((await findNode(tx, nodeId)) === undefined) throw nodeGone();
  return resources;
}

function isPersonal({ workspaceId }: { workspaceId: string }): boolean {
  return workspaceId.startsWith('usr_');
}

function nodeGone(): Failure {
  return new Failure('badRequest', 'One of these things is no longer in its workspace. Choose again.', {
    field: 'node',
  });
}

function checkActions({ deps }: Work, { actions }: PlaceRequest, role: Role): string {
  const known = deps.config.scopes;
  if (actions.length === 0 || !actions.every((action) => known.has(action))) {
    throw new Failure('badRequest', `Name what may be done there: ${formatScope([...known.keys()])}.`, {
      field: 'actions',
    });
  }
  if (restrictToRole(deps.config, role, actions).length < actions.length) {
    throw new Failure('forbidden', 'Your role in this workspace may not do all of that itself.');
  }
  return formatScope([...new Set(actions)].toSorted());
}

function checkTypes({ deps }: Work, { types }: PlaceRequest): string | null {
  if (types === undefined) return null;
  if (types.length === 0 || !types.every((type) => deps.config.workspaces.types.includes(type))) {
    throw new Failure('badRequest', 'There is no such type of things here.', { field: 'types' });
  }
  return [...new Set(types)].toSorted().join(' ');
}

/** @returns the API of each row that is written; null: all that understand workspaces */
function resourcesOf(
  { nodeId, path, resources }: PlaceRequest,
  nodes: ReadonlyMap<string, string>,
): (string | null)[] {
  if (nodeId === undefined) return resources === undefined ? [null] : [...new Set(resources)];
  if (path !== undefined && path !== '') {
    throw new Failure('badRequest', 'A place is a node or a path, not both.', { field: 'path' });
  }
  const resource = nodes.get(nodeId)!;
  if (resources === undefined || resources.includes(resource)) return [resource];
  throw new Failure('badRequest', 'This key is not for the API that this thing belongs to.', {
    field: 'resources',
  });
}
