import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { LIFETIME_SECONDS } from '../../lib/artifacts/lifetime.ts';
import { sortWords } from '../../lib/artifacts/permission-entry.ts';
import type { GrantedPermission, PermissionGrant } from '../../lib/artifacts/permission-grant.ts';
import type { PermissionRequest } from '../../lib/artifacts/permission-request.ts';
import { formatSeconds } from '../../lib/artifacts/read-members.ts';
import { sha256 } from '../../lib/hash.ts';
import { newId } from '../../lib/ids.ts';
import { withImplied } from '../../lib/scopes.ts';
import { DAY_MS } from '../../lib/time.ts';
import { findNodeNamed } from '../../store/nodes.ts';
import { insertPermissionGrant } from '../../store/permission-grants.ts';
import type { RequestOrigin, Work } from '../../work.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { useCase } from '../limits/use-case.ts';
import { allowPlaces, givePlaces, type PlaceRequest } from '../workspaces/give-places.ts';
import { findRequest, lockRequest, writeDecision } from './decide-request.ts';
import type { KeyHolder } from './key-holders.ts';
import { requestUnknown } from './request-state.ts';
import { type KnownPermission, listServiceNames, readPermissions } from './services.ts';
import { signAnswer } from './sign-answers.ts';

/** How people grant what was asked for, or some of it. */

/** What is left of one entry of a request. */
export interface GivenPermission {
  /** Which entry, from 0. */
  index: number;
  /** Some of its actions, as they were asked for. */
  actions: readonly string[];
  /** For one that leaves it to the granter; undefined: their own things. */
  space?: string | undefined;
}

/** What somebody gives. */
export interface Giving {
  permissions: readonly GivenPermission[];
  /** Undefined: as long as was asked for. */
  lifetimeSeconds?: number | undefined;
}

/** Who gives it. */
export interface Granter {
  accountId: string;
  /** The terminal by which they do; undefined: they were shown a page. */
  terminal?: KeyHolder | undefined;
}

/** How long what a terminal grants lives at most. */
const BY_TERMINAL_MS = 7 * DAY_MS;

/**
 * Grants a request, in part or all of it. What is given is checked against the role that the granter has now in each workspace.
 * Decision, places, grant, audit line and mail are one transaction.
 *
 * @returns the grant, as we signed it, and its id
 * @throws Failure `badRequest` for what is wider than the request, and for nothing; `grantNotAllowed` for a terminal;
 * `notFound`, `requestDecided`, `requestExpired`; as allowPlaces()
 */
export async function grantPermissions(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  granter: Granter,
  giving: Giving,
): Promise<{ grantId: string; grant: PermissionGrant }> {
  const { artifact: request } = await findRequest(deps.db, id);
  if (request.permissions === undefined) throw requestUnknown();
  const known = await readPermissions(deps, request.permissions);
  const given = narrow(request, known, giving, granter.accountId);
  if (granter.terminal !== undefined) assertTerminalMay(deps, granter.terminal, given);
  const names = await listServiceNames(deps);
  return useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const end = endOf(work, request, giving, granter);
    const requests = await Promise.all(given.map((each) => toPlaceRequest(work, each, end)));
    const places = await allowPlaces(work, granter.accountId, requests);
    const { row, artifact, askerEndsAt } = await lockRequest(work, granter.accountId, id);
    const expiresAt = Math.min(end, askerEndsAt);
    const grantId = newId('grt', now, deps.random);
    const signed = await signAnswer(work, row, {
      id: grantId,
      expires_at: formatSeconds(expiresAt),
      granted_by: { kind: 'human', account: granter.accountId },
      permissions: given.map((each) => toGranted(each, names, now, expiresAt)),
      withheld: listWithheld(request, giving),
      ...(artifact.action !== undefined && { action: artifact.action }),
      ...(artifact.once && { once: true }),
    });
    await writeDecision(work, id, {
      accountId: granter.accountId,
      grantId,
      denial: null,
      keepUntil: expiresAt,
    });
    await insertPermissionGrant(tx, {
      id: grantId,
      requestId: id,
      family: row.family,
      generation: row.generation,
      agentId: row.agentId,
      accountId: row.accountId,
      grantedBy: granter.accountId,
      grantedWith: granter.terminal?.family ?? null,
      artifact: JSON.stringify(signed),
      once: row.once,
      actionHash: artifact.action === undefined ? null : sha256(artifact.action).toString('base64url'),
      createdAt: now,
      // As it is signed: to the second.
      expiresAt: Date.parse(signed.expires_at),
    });
    const bounded = places.map((place) => ({
      ...place,
      expiresAt: Math.min(place.expiresAt ?? Infinity, Date.parse(signed.expires_at)),
    }));
    await givePlaces(work, grantId, granter.accountId, bounded);
    await recordAndNotify(work, granter.accountId, {
      kind: 'permission.granted',
      agentId: row.agentId ?? undefined,
      subject: grantId,
      details: {
        request: id,
        permissions: given.length,
        by: granter.terminal === undefined ? 'page' : 'terminal',
        ...(artifact.action !== undefined && { action: artifact.action }),
      },
    });
    return { grantId, grant: signed };
  });
}

/** An entry with what is given of it. */
interface Given extends KnownPermission {
  /** As it was asked for. */
  pathText: string;
  actions: string[];
  workspaceId: string;
}

/** @throws Failure `badRequest` */
function narrow(
  request: PermissionRequest,
  known: readonly KnownPermission[],
  { permissions, lifetimeSeconds }: Giving,
  accountId: string,
): Given[] {
  const asked = request.lifetime_seconds ?? LIFETIME_SECONDS.default;
  if (lifetimeSeconds !== undefined && lifetimeSeconds > asked) {
    throw wider('lifetime_seconds', 'That is longer than was asked for.');
  }
  if (permissions.length === 0) throw wider('permissions', 'Give something, or deny the request.');
  const seen = new Set<number>();
  return permissions.map(({ index, actions, space }, at) => {
    const entry = known[index];
    const field = `permissions.${at}`;
    if (entry === undefined || seen.has(index)) throw wider(`${field}.index`, 'There is no such permission.');
    seen.add(index);
    const wrong = actions.find((action) => !entry.scopes.has(action));
    if (wrong !== undefined || actions.length === 0) {
      throw wider(`${field}.actions`, 'Give some of the actions that were asked for.');
    }
    if (entry.space !== 'default' && space !== undefined && space !== entry.space) {
      throw wider(`${field}.space`, 'This permission is asked for in another workspace.');
    }
    const workspaceId = entry.space === 'default' ? (space ?? accountId) : entry.space;
    const scopes = sortWords(actions.map((action) => entry.scopes.get(action)!));
    return { ...entry, pathText: request.permissions![index]!.path, actions: scopes, workspaceId };
  });
}

function wider(field: string, message: string): Failure {
  return new Failure('badRequest', message, { field });
}

/** Checks what a terminal gives against what its human let it. @throws Failure `grantNotAllowed` */
function assertTerminalMay(
  { config }: Pick<Deps, 'config'>,
  { bound, accountId }: KeyHolder,
  given: Given[],
): void {
  for (const { workspaceId, actions, node, path } of given) {
    if (bound === undefined || !bound.workspaces.includes(workspaceId)) {
      throw notByTerminal('This terminal grants nothing in that workspace.');
    }
    if (workspaceId !== accountId && !config.workspaces.grantByTerminal) {
      throw notByTerminal('In shared workspaces people grant on pages.');
    }
    if (!actions.every((action) => bound.scopes.includes(action))) {
      throw notByTerminal('This terminal grants fewer actions than these.');
    }
    const isWide = node === undefined && path === undefined;
    const isDestructive = withImplied(actions, config.scopes).some(
      (name) => config.scopes.get(name)?.destructive,
    );
    if (isWide || isDestructive)
      throw notByTerminal('A whole workspace, and what cannot be undone, is granted on a page.');
  }
}

function notByTerminal(message: string): Failure {
  return new Failure('grantNotAllowed', message);
}

/** Returns when what is given ends, but for the end of the agent that gets it. */
function endOf(
  { now, deps }: Work,
  request: PermissionRequest,
  giving: Giving,
  { terminal }: Granter,
): number {
  const asked = request.lifetime_seconds ?? LIFETIME_SECONDS.default;
  const seconds = Math.min(giving.lifetimeSeconds ?? asked, deps.config.limits.permissionSeconds);
  return Math.min(now + seconds * 1000, terminal === undefined ? Infinity : now + BY_TERMINAL_MS);
}

async function toPlaceRequest({ tx, now }: Work, given: Given, end: number): Promise<PlaceRequest> {
  const { audience, node, path, types, workspaceId, actions, lifetimeSeconds = Infinity } = given;
  const found = node === undefined ? undefined : await findNodeNamed(tx, audience.url, workspaceId, node);
  return {
    workspaceId,
    // One that is not there is refused with those that have gone, after the role: nobody else learns which are there.
    nodeId: node === undefined ? undefined : (found?.id ?? 'nod_'),
    path,
    types,
    actions,
    resources: [audience.url],
    expiresAt: Math.min(end, now + lifetimeSeconds * 1000),
  };
}

function toGranted(
  { audience, workspaceId, pathText, actions, types, lifetimeSeconds }: Given,
  names: ReadonlyMap<string, string>,
  now: number,
  expiresAt: number,
): GrantedPermission {
  const ownEnd = lifetimeSeconds === undefined ? Infinity : now + lifetimeSeconds * 1000;
  return {
    service: names.get(audience.url)!,
    resource: audience.url,
    space: workspaceId,
    path: pathText,
    actions,
    ...(types !== undefined && { types: [...types] }),
    ...(ownEnd < expiresAt && { expires_at: formatSeconds(ownEnd) }),
  };
}

/** Lists what was asked for and is not given. */
function listWithheld({ permissions = [] }: PermissionRequest, giving: Giving) {
  const withheld = permissions.flatMap(({ reason: _, lifetime_seconds: __, ...entry }, index) => {
    const given = giving.permissions.find((each) => each.index === index)?.actions ?? [];
    const actions = entry.actions.filter((action) => !given.includes(action));
    return actions.length === 0 ? [] : [{ ...entry, actions }];
  });
  return withheld;
}
