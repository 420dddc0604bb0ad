import type { Deps } from '../../deps.ts';
import { parseScope } from '../../lib/scopes.ts';
import { type EffectivePlaceRow, listEffectivePlaces, listReachedPlaces } from '../../store/places.ts';
import type { ResourceServer } from '../audiences/resource-servers.ts';
import { isManager, type Role, restrictToRole } from '../workspaces/roles.ts';
import type { Bearer } from './bearer.ts';
import type { KeyTerms } from './issue.ts';
import { narrowAccess } from './narrow-access.ts';

/** What a credential may do in workspaces at one resource server: its places, within the present roles of who gave them. */

/** The type of all authorization details here (RFC 9396 section 2). */
export const WORKSPACE_TYPE = 'workspace';

/** One place as a resource server is told of it. */
export interface PlacedAccess {
  /** Of a shared workspace, or of the account whose personal one it is. */
  workspaceId: string;
  /** The node as the resource server names it. */
  node: string | undefined;
  path: string | undefined;
  /** Types of things; undefined: all. */
  types: string[] | undefined;
  /** Never empty; without what they imply. */
  actions: string[];
  /** Whether who gave it manages the workspace. */
  manages: boolean;
  /** Epoch ms; null: it does not end by itself. */
  expiresAt: number | null;
}

/** What decides whose places a credential reaches. */
export type Reach = Pick<
  Bearer,
  'agentId' | 'accountId' | 'hasAgentPlaces' | 'app' | 'grants' | 'narrowed'
> & {
  key: Pick<KeyTerms, 'id' | 'isPlaced' | 'createdAt' | 'scopes'>;
};

/**
 * Reads the access of a placed credential at a resource server, with one statement for each holder of places. An agent with places has its own account
 * beside them.
 *
 * @param scopes those of the credential at this server, for an agent
 * @returns undefined for a credential without places; an empty list where it may do nothing there
 */
export async function readPlacedAccess(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  bearer: Reach,
  server: Pick<ResourceServer, 'url' | 'scopes' | 'understandsWorkspaces'>,
  scopes: readonly string[],
): Promise<PlacedAccess[] | undefined> {
  const holders = holdersOf(bearer);
  const { key, app, grants, narrowed } = bearer;
  if (holders.length === 0 && narrowed === undefined) return undefined;
  // A server that has not said that it understands workspaces would take `scope` as if it held everywhere.
  if (!server.understandsWorkspaces) return key.isPlaced || narrowed !== undefined ? [] : undefined;
  const own = ownAccount(bearer.accountId, scopes);
  // Its human consented to the account alone.
  if (holders.length === 0) return narrowAccess(own, narrowed!, server.url);
  const now = clock();
  const rows = await Promise.all(holders.map((holder) => listEffectivePlaces(db, holder, server.url, now)));
  const isBounded = app !== undefined || grants !== undefined;
  const access = rows
    .flat()
    // A token has the places that its consent had when it was issued: later ones do not widen it.
    .filter(({ createdAt }) => app === undefined || createdAt < key.createdAt + 1000)
    .flatMap((row) => toAccess(config, row, server, isBounded ? key.scopes : undefined) ?? []);
  if (narrowed !== undefined) return narrowAccess(access, narrowed, server.url);
  if (key.isPlaced) return access;
  return access.length === 0 ? undefined : [...own, ...access];
}

/** Describes an account as the place that it is for a credential with these scopes; without scopes it is none. */
export function ownAccount(accountId: string, scopes: readonly string[]): PlacedAccess[] {
  if (scopes.length === 0) return [];
  const whole = { workspaceId: accountId, node: undefined, path: undefined, types: undefined };
  return [{ ...whole, actions: [...scopes], manages: false, expiresAt: null }];
}

/** Describes access as an introspection and a signed token do (RFC 9396 section 2): one object for each place. */
export function toAuthorizationDetails(access: readonly PlacedAccess[], audience: string) {
  const workspaces = new Set(access.map(({ workspaceId }) => workspaceId));
  return {
    workspace: workspaces.size === 1 ? access[0]!.workspaceId : undefined,
    authorization_details: access.map(({ workspaceId, node, path, types, actions, manages }) => ({
      type: WORKSPACE_TYPE as typeof WORKSPACE_TYPE,
      locations: [audience],
      identifier: workspaceId,
      node,
      path,
      actions,
      datatypes: types,
      privileges: manages ? ['manage' as const] : undefined,
    })),
  };
}

/** A workspace as the bearer of a placed credential is told of it. */
export interface ReachedWorkspace {
  id: string;
  /** Undefined: the personal workspace of the account. */
  name: string | undefined;
  role: Role | undefined;
  actions: string[];
}

/** Lists the workspaces that a credential reaches beside the account of its agent, with one statement for each holder of places. */
export async function listReachedWorkspaces(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  bearer: Bearer,
): Promise<ReachedWorkspace[]> {
  const holders = holdersOf(bearer);
  if (holders.length === 0) return [];
  const now = clock();
  const rows = (await Promise.all(holders.map((holder) => listReachedPlaces(db, holder, now)))).flat();
  const reached = [...Map.groupBy(rows, ({ workspaceId }) => workspaceId)].map(([id, places]) => {
    const { name, role } = places[0]!;
    const given = places.flatMap((place) => {
      if (place.name === null) return parseScope(place.actions);
      return place.role === null ? [] : restrictToRole(config, place.role, parseScope(place.actions));
    });
    return { id, name: name ?? undefined, role: role ?? undefined, actions: [...new Set(given)].sort() };
  });
  return reached.filter(({ actions }) => actions.length > 0);
}

/**
 * Reads what a consent allows now at an API, for the app that got a token.
 *
 * @param scopes those of its token
 * @returns an empty list for a consent to the account alone, without places
 */
export async function readConsentAccess(
  { db, clock, config }: Pick<Deps, 'db' | 'clock' | 'config'>,
  consentId: string,
  resource: string,
  scopes: readonly string[],
): Promise<PlacedAccess[]> {
  const rows = await listEffectivePlaces(db, consentId, resource, clock());
  return rows.flatMap((row) => toAccess(config, row, { scopes: undefined }, scopes) ?? []);
}

/**
 * Returns whose places a credential reaches; empty: it has none. Those of an app's token are what the human consented to; the
 * app itself has none, or it would reach for one human what another one gave it.
 */
function holdersOf({ key, app, grants, hasAgentPlaces, agentId }: Reach): readonly string[] {
  if (grants !== undefined) return grants;
  const holder = key.isPlaced ? (app === undefined ? key.id : app.grantId) : hasAgentPlaces && agentId;
  return holder ? [holder] : [];
}

/**
 * Reads what permission grants allow now at an API.
 *
 * @param grants their ids
 */
export async function readGrantsAccess(
  { db, clock, config }: Pick<Deps, 'clock' | 'config'> & { db: Pick<Deps['db'], 'all'> },
  grants: readonly string[],
  resource: string,
): Promise<PlacedAccess[]> {
  const now = clock();
  const rows = await Promise.all(grants.map((id) => listEffectivePlaces(db, id, resource, now)));
  return rows.flat().flatMap((row) => toAccess(config, row, { scopes: undefined }) ?? []);
}

/**
 * @param scopes those of the token of an app, or got with a session key, which bound it everywhere; undefined: nothing else does
 * @returns undefined for a place that gives nothing now: its node is gone, or who gave it is no member any more
 */
function toAccess(
  config: Deps['config'],
  row: EffectivePlaceRow,
  server: Pick<ResourceServer, 'scopes'>,
  scopes?: readonly string[],
): PlacedAccess | undefined {
  if (row.role === null || (row.isNode === 1 && row.externalId === null)) return undefined;
  const actions = restrictToRole(config, row.role, parseScope(row.actions)).filter(
    (action) => (server.scopes?.includes(action) ?? true) && (scopes?.includes(action) ?? true),
  );
  if (actions.length === 0) return undefined;
  const isPersonal = row.grantedBy === row.workspaceId;
  return {
    workspaceId: row.workspaceId,
    node: row.externalId ?? undefined,
    path: row.path ?? undefined,
    types: row.types === null ? undefined : row.types.split(' '),
    actions,
    // Nobody in person stands behind the key of an app, and everybody manages their own things.
    manages: !isPersonal && isManager(row.role),
    expiresAt: row.expiresAt,
  };
}
