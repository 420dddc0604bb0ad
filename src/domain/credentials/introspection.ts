import type { Deps } from '../../deps.ts';
import type { RequestOrigin } from '../../work.ts';
import type { ResourceServer } from '../audiences/resource-servers.ts';
import {
  type Bearer,
  type CredentialKind,
  findBearer,
  kindOfBearer,
  logRefused,
  type RefusedCheck,
  recordKeyUse,
} from './bearer.ts';
import { type PlacedAccess, readPlacedAccess } from './placed-access.ts';

/** What a resource server learns about a credential (RFC 7662 section 2.2). */
export type Introspection =
  | { active: false }
  | {
      active: true;
      kind: CredentialKind;
      form: Bearer['form'];
      /** The account that the credential works in; of the key of a thing, the workspace. */
      subject: string;
      /** Undefined: a personal key of a human. */
      agentId: string | undefined;
      /** The OAuth client of an app; undefined: it is no token of an app. */
      clientId: string | undefined;
      /** See Bearer. */
      keyThumbprint: string | undefined;
      keyId: string;
      scopes: string[];
      audience: string;
      /** Epoch ms, both. */
      issuedAt: number;
      expiresAt: number;
      /** See Bearer. */
      ownerId: string | undefined;
      /** See Bearer. */
      mergedFrom: string | undefined;
      /** See Bearer. */
      actionHash: string | undefined;
      /** Where it may do what; undefined: all its scopes in its account, and nothing elsewhere. */
      access: PlacedAccess[] | undefined;
    };

/**
 * The expiry reported for a key without one: MCP servers reject a token without expiry (MCP authorization, token
 * validation).
 */
const OPEN_END_MS = 300_000;

/**
 * Introspects a credential for a resource server (RFC 7662 section 2). An active answer counts as a use of the
 * credential.
 *
 * @returns the same `active: false` for a credential that does not work and for one that is not meant for this resource
 * server (RFC 7662 section 2.2, S-33, S-99)
 */
export async function introspectBearer(
  deps: Deps,
  origin: RequestOrigin,
  server: ResourceServer,
  credential: string,
): Promise<Introspection> {
  const bearer = await findBearer(deps, credential);
  if (typeof bearer === 'string') return refuse(deps, origin, bearer);
  const { key } = bearer;
  // Of a placed key its places say at which APIs it works, unless it is bound to one.
  const isForServer =
    (key.isPlaced && !key.resources?.length) || (key.resources?.includes(server.url) ?? true);
  if (!isForServer) return refuse(deps, origin, 'other audience');
  const ownScopes = key.isPlaced ? [] : key.scopes.filter((scope) => server.scopes?.includes(scope) ?? true);
  const access = await readPlacedAccess(deps, bearer, server, ownScopes);
  if (access?.length === 0) return refuse(deps, origin, 'no place');
  const scopes =
    access === undefined ? ownScopes : [...new Set(access.flatMap(({ actions }) => actions))].sort();
  if (scopes.length === 0) return { active: false };
  await recordKeyUse(deps, origin, bearer, server.name);
  return {
    active: true,
    kind: kindOfBearer(bearer),
    form: bearer.form,
    subject: bearer.isAppKey ? access![0]!.workspaceId : bearer.accountId,
    agentId: bearer.agentId,
    clientId: bearer.app?.clientId,
    keyThumbprint: bearer.keyThumbprint,
    keyId: key.id,
    scopes,
    audience: server.url,
    issuedAt: key.createdAt,
    expiresAt: Math.min(
      key.expiresAt ?? deps.clock() + OPEN_END_MS,
      ...(access ?? []).map((place) => place.expiresAt ?? Infinity),
    ),
    ownerId: bearer.ownerId,
    mergedFrom: bearer.mergedFrom,
    actionHash: bearer.actionHash,
    access,
  };
}

function refuse(deps: Deps, origin: RequestOrigin, check: RefusedCheck): Introspection {
  logRefused(deps, origin, check);
  return { active: false };
}
