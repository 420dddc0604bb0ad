import type { Deps } from '../../deps.ts';
import { parseScope } from '../../lib/scopes.ts';
import { listMemberships } from '../../store/members.ts';
import { findNodeNamed, listNodesById } from '../../store/nodes.ts';
import { listPlacesOf, type PlaceRow } from '../../store/places.ts';
import type { Audience } from '../audiences/audience.ts';
import { listResourceServers } from '../audiences/resource-servers.ts';
import type { PlaceRequest } from '../workspaces/give-places.ts';
import { mayApproveApps, type Role, restrictToRole } from '../workspaces/roles.ts';
import type { AskedPlace } from './authorization-details.ts';
import { actionsWithinBound, isOwnBound, readClientBound } from './client-bounds.ts';
import type { OAuthClient } from './clients.ts';

/** Where a human can let an app work, as they see it before they decide. */

/** One place that can be chosen. */
export interface PlaceChoice {
  /** Of its box, the same for the same place: `own`, `wsp_…` or `nod_…`, with a path and types. */
  name: string;
  /** Whether it is the human's own personal workspace, or in it. */
  isOwn: boolean;
  workspaceId: string;
  /** Undefined: one's own. */
  workspaceName: string | undefined;
  role: Role | undefined;
  nodeId: string | null;
  nodeName: string | undefined;
  path: string | null;
  types: string | null;
  /** The most that it may do there; undefined: all that it is given. */
  actions: readonly string[] | undefined;
  /** Whether the app asks for it now, and whether it has it now. */
  isAsked: boolean;
  isHeld: boolean;
  /** What it may do there now; undefined: nothing, or all that it was given. */
  heldActions: readonly string[] | undefined;
}

/** Where an app can be let work. */
export interface PlaceChoices {
  choices: PlaceChoice[];
  /** Whether the human chooses: else it is all one's own things, as where there are no workspaces. */
  isShown: boolean;
}

type Place = Pick<PlaceRow, 'workspaceId' | 'nodeId' | 'path' | 'types'> & {
  actions?: readonly string[] | undefined;
};

const NOWHERE: Pick<Place, 'nodeId' | 'path' | 'types'> = { nodeId: null, path: null, types: null };

/**
 * Lists where a human can let an app work: what it asks for or else was registered for, and what it has, in their own things and
 * in the workspaces in which their role may let apps in. All others are left out, whether or not they exist.
 *
 * @param asked undefined: the app leaves it to the human
 * @param heldId the consent that the app has; undefined: none
 */
export async function listPlaceChoices(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  accountId: string,
  {
    client,
    audience,
    scopes,
    asked,
    heldId,
  }: {
    client: OAuthClient;
    audience: Audience | undefined;
    /** What it asks for or has. */
    scopes: readonly string[];
    asked: readonly AskedPlace[] | undefined;
    heldId: string | undefined;
  },
): Promise<PlaceChoices> {
  if (audience === undefined) return { choices: [], isShown: false };
  const { db, config } = deps;
  const hasWorkspaces = await understandsWorkspaces(deps, audience);
  const memberships = hasWorkspaces
    ? (await listMemberships(db, accountId)).filter(({ role }) => mayApproveApps(config, role))
    : [];
  const roles = new Map(memberships.map((each) => [each.workspaceId, each]));
  const bound = await readClientBound(db, client.id);
  // Of all others nothing is looked up: they take the same time, whether or not they exist.
  const isThere = (workspaceId: string) => workspaceId === accountId || roles.has(workspaceId);
  const own: Place = { workspaceId: accountId, ...NOWHERE };
  const everywhere = [own, ...memberships.map(({ workspaceId }) => ({ workspaceId, ...NOWHERE }))];
  const wanted =
    asked === undefined
      ? (bound
          ?.map((row) => (isOwnBound(row) ? { ...row, workspaceId: accountId } : row))
          .map(withoutActions) ?? everywhere)
      : await findAsked(
          deps,
          asked.filter(({ identifier }) => isThere(identifier)),
          audience.url,
        );
  const rows = heldId === undefined ? [] : await listPlacesOf(db, heldId);
  const byName = (all: readonly Place[]) => new Map(all.map((place) => [nameOf(place, accountId), place]));
  const held =
    heldId !== undefined && rows.length === 0
      ? byName([own])
      : byName(rows.map((row) => ({ ...row, actions: parseScope(row.actions) })));
  const asks = byName(wanted);
  const places = new Map([...byName([...held.values()].map(withoutActions)), ...asks]);
  const nodeIds = [...places.values()].flatMap(({ nodeId }) => nodeId ?? []);
  const nodes = new Map((await listNodesById(db, nodeIds)).map((node) => [node.id, node]));
  const choices: PlaceChoice[] = [];
  for (const [name, place] of places) {
    const { workspaceId, nodeId, path, types } = place;
    const isOwn = workspaceId === accountId;
    const membership = roles.get(workspaceId);
    if (!isThere(workspaceId)) continue;
    const isAtApi = nodeId === null || nodes.get(nodeId)?.resource === audience.url;
    const most = bound && (await actionsWithinBound(db, bound, place, accountId, audience.url));
    if (!isAtApi || (bound !== undefined && most === undefined)) continue;
    const actions = narrow(scopes, place.actions, most);
    // Other servers are told of no places: there it is all one's own things, or nothing.
    if (!hasWorkspaces && (nodeId ?? path ?? types ?? actions ?? null) !== null) continue;
    choices.push({
      name,
      isOwn,
      workspaceId,
      workspaceName: membership?.name,
      role: membership?.role,
      nodeId,
      nodeName: nodeId === null ? undefined : nodes.get(nodeId)?.name,
      path,
      types,
      actions,
      isAsked: asks.has(name),
      isHeld: held.has(name),
      heldActions: held.get(name)?.actions,
    });
  }
  choices.sort((one, other) => Number(other.isOwn) - Number(one.isOwn));
  return { choices, isShown: choices.length !== 1 || !isAllOwn(choices[0]!) };
}

function isAllOwn({ isOwn, nodeId, path, types, actions }: PlaceChoice): boolean {
  return isOwn && nodeId === null && path === null && types === null && actions === undefined;
}

function withoutActions({ workspaceId, nodeId, path, types }: Omit<Place, 'actions'>): Place {
  return { workspaceId, nodeId, path, types };
}

/** Both bounds together; undefined: neither takes anything of the scopes. */
function narrow(
  scopes: readonly string[],
  asked: readonly string[] | undefined,
  most: readonly string[] | undefined,
): string[] | undefined {
  const within = scopes.filter((name) => (asked?.includes(name) ?? true) && (most?.includes(name) ?? true));
  return within.length === scopes.length ? undefined : within;
}

/** Whether an API is told of places. One whose tokens are signed is not, since these live on when a role has ended. */
export async function understandsWorkspaces(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  { url, tokens }: Audience,
): Promise<boolean> {
  if (tokens === 'jwt') return false;
  const servers = await listResourceServers(deps);
  return servers.some((server) => server.url === url && server.understandsWorkspaces);
}

/** Finds the places that an app asks for; what is not there is left out, as what is somebody else's. */
async function findAsked(
  { db }: Pick<Deps, 'db'>,
  asked: readonly AskedPlace[],
  resource: string,
): Promise<Place[]> {
  const places: Place[] = [];
  for (const { identifier: workspaceId, node, path = null, datatypes, actions } of asked) {
    const types = datatypes === undefined ? null : [...new Set(datatypes)].toSorted().join(' ');
    const found = node === undefined ? undefined : await findNodeNamed(db, resource, workspaceId, node);
    if (node !== undefined && found === undefined) continue;
    places.push({ workspaceId, nodeId: found?.id ?? null, path, types, actions });
  }
  return places;
}

function nameOf({ workspaceId, nodeId, path, types }: Place, accountId: string): string {
  const thing = nodeId ?? (workspaceId === accountId ? 'own' : workspaceId);
  return `${thing}${path === null ? '' : `/${path}`}${types === null ? '' : `#${types.replaceAll(' ', '+')}`}`;
}

/**
 * Converts what a human chose to what a consent is given.
 *
 * @param scopes what the human gives
 * @returns none for all one's own things; undefined: nothing that is given can be done in any of the places
 */
export function toConsentPlaces(
  config: Deps['config'],
  accountId: string,
  resource: string,
  chosen: readonly PlaceChoice[],
  scopes: readonly string[],
): PlaceRequest[] | undefined {
  const places = chosen.flatMap((choice): PlaceRequest[] => {
    const within = scopes.filter((name) => choice.actions?.includes(name) ?? true);
    const actions = restrictToRole(config, choice.role ?? 'owner', within);
    if (actions.length === 0) return [];
    return [
      {
        workspaceId: choice.isOwn ? accountId : choice.workspaceId,
        nodeId: choice.nodeId ?? undefined,
        path: choice.path ?? undefined,
        types: choice.types?.split(' '),
        actions,
        resources: [resource],
      },
    ];
  });
  if (places.length === 0) return undefined;
  const [only] = chosen;
  const isAll = chosen.length === 1 && only!.isOwn && places[0]!.actions.length === scopes.length;
  return isAll && only!.nodeId === null && only!.path === null && only!.types === null ? [] : places;
}
