import type { CredentialRow } from '../../store/credentials.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { EventRow } from '../../store/events.ts';
import {
  listCredentialsPlacedIn,
  listResourcesOfHolder,
  listResourcesPlacedIn,
  type PlacedHash,
} from '../../store/placed-credentials.ts';
import type { ResourceServer } from './resource-servers.ts';

/** What resource servers are told of workspaces: which one changed, and whose cached answers that makes out of date. */

export type WorkspaceEventType = 'workspace_created' | 'workspace_changed' | 'workspace_deleted';

const TYPES: Readonly<Record<string, WorkspaceEventType>> = {
  'workspace.created': 'workspace_created',
  'workspace.connected': 'workspace_created', // to the API that an owner connected
  'workspace.deleted': 'workspace_deleted',
};

/** How many keys are told of one event; with more the resource server drops all that it knows of the workspace. */
const KEYS_MAX = 500;

/** A place that ended with an event ended in its transaction, whose time the event has. */
const SAME_TRANSACTION_MS = 60_000;

/** Whether a kind of event changes who may do what in its workspace. */
export function isWorkspaceEvent(kind: string): boolean {
  return /^(workspace|member|place)\./.test(kind);
}

/** Reads which keys an event in a workspace affects, and who is told of it. */
export async function readWorkspaceEvent(
  db: Pick<Tx, 'all'>,
  { kind, at, details }: Pick<EventRow, 'kind' | 'at' | 'details'>,
  workspaceId: string,
): Promise<{
  type: WorkspaceEventType;
  keys: PlacedHash[];
  hasMoreKeys: boolean;
  isFor: (server: ResourceServer) => boolean;
}> {
  if (kind === 'workspace.connected') {
    const { resource } = JSON.parse(details!) as { resource: string };
    const isFor = ({ understandsWorkspaces, url }: ResourceServer) =>
      understandsWorkspaces && url === resource;
    return { type: TYPES[kind]!, keys: [], hasMoreKeys: false, isFor };
  }
  const ended = { from: at - SAME_TRANSACTION_MS, to: at + SAME_TRANSACTION_MS };
  const keys = await listCredentialsPlacedIn(db, workspaceId, ended, KEYS_MAX + 1);
  const connected = new Set(await listResourcesPlacedIn(db, workspaceId, ended));
  const isShared = !workspaceId.startsWith('usr_');
  const hasMoreKeys = keys.length > KEYS_MAX;
  return {
    type: TYPES[kind] ?? 'workspace_changed',
    keys: hasMoreKeys ? [] : keys,
    hasMoreKeys,
    // Nobody else learns that the workspace exists.
    isFor: ({ understandsWorkspaces, hasAllWorkspaces, url }) =>
      understandsWorkspaces && ((isShared && hasAllWorkspaces) || connected.has(null) || connected.has(url)),
  };
}

/** Adds to placed keys and tokens, which have no APIs of their own, those of their places, or of those of their consent. */
export async function withPlaces(
  db: Pick<Tx, 'all'>,
  keys: readonly Pick<CredentialRow, 'id' | 'hash' | 'resources' | 'placed' | 'oauthGrant' | 'grants'>[],
): Promise<Pick<CredentialRow, 'id' | 'hash' | 'resources'>[]> {
  const resourcesOf = new Map<string, string | null>();
  for (const key of keys) {
    const holders = holdersOf(key);
    if (key.placed !== 1 || resourcesOf.has(holders)) continue;
    const lists = await Promise.all(holders.split(' ').map((holder) => listResourcesOfHolder(db, holder)));
    const resources = [...new Set(lists.flat())];
    resourcesOf.set(holders, resources.includes(null) ? null : resources.join(' '));
  }
  return keys.map((key) =>
    key.placed === 1 ? { ...key, resources: resourcesOf.get(holdersOf(key)) ?? null } : key,
  );
}

/** Returns the ids of what holds the places of a key or token, space-separated. */
function holdersOf({ grants, oauthGrant, id }: Pick<CredentialRow, 'grants' | 'oauthGrant' | 'id'>): string {
  return grants ?? oauthGrant ?? id;
}
