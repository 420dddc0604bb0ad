import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { normalizeAudienceUrl } from '../../lib/audience-url.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, parseScope } from '../../lib/scopes.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import { DAY_MS } from '../../lib/time.ts';
import type { Db } from '../../store/engine/db.ts';
import {
  findResourceServer,
  insertResourceServer,
  listResourceServerRows,
  type ResourceServerRow,
  updateResourceServerRemoved,
  updateResourceServerSecret,
  updateResourceServerWorkspaces,
} from '../../store/resource-servers.ts';
import type { RequestOrigin } from '../../work.ts';
import { recordEvent } from '../audit/audit-log.ts';
import { AT_COMMAND_LINE, type OperatorAct, reasonDetails } from '../audit/operator-acts.ts';
import { useCase } from '../limits/use-case.ts';

/** An API or MCP server that may introspect the credentials presented to it. */
export interface ResourceServer {
  /** `rs_…`, its client_id. */
  id: string;
  /** The URL of its audience (RFC 8707); a key can be limited to it. */
  url: string;
  name: string;
  /** The scopes it knows; undefined: all. Introspection reports no others to it. */
  scopes: string[] | undefined;
  /** Whether it understands workspaces: others take every placed credential for inactive. */
  understandsWorkspaces: boolean;
  /** Whether it is told of all workspaces; else of those that it is connected to, or where it has a place. */
  hasAllWorkspaces: boolean;
  /** Epoch ms. */
  createdAt: number;
}

/** The input for a new resource server. */
export interface ResourceServerInput {
  /** Absolute, http or https, no fragment. */
  url: string;
  name: string;
  /** The scopes it knows; undefined: all. */
  scopes: readonly string[] | undefined;
  /** See ResourceServer; undefined: no. */
  understandsWorkspaces?: boolean;
  /** See ResourceServer; undefined: yes. */
  hasAllWorkspaces?: boolean;
}

/**
 * Adds a resource server.
 *
 * @returns the resource server, and its client_secret, of which only the hash is stored
 * @throws Failure `badRequest` for an unusable URL or an unknown scope
 */
export async function addResourceServer(
  deps: Deps,
  origin: RequestOrigin,
  input: ResourceServerInput,
  act: OperatorAct = AT_COMMAND_LINE,
): Promise<{ server: ResourceServer; secret: string }> {
  const url = normalizeAudienceUrl(input.url);
  const unknown = input.scopes?.find((scope) => !deps.config.scopes.has(scope));
  if (unknown !== undefined) {
    throw new Failure(
      'badRequest',
      `There is no such scope. Known: ${[...deps.config.scopes.keys()].join(', ')}.`,
    );
  }
  const now = deps.clock();
  const secret = newSecret('rss', deps.random);
  const row = {
    id: newId('rs', now, deps.random),
    secretHash: hashSecret(secret),
    url,
    name: input.name,
    scopes: input.scopes === undefined ? null : formatScope(input.scopes),
    createdAt: now,
    workspaces: input.understandsWorkspaces === true ? 1 : 0,
    allWorkspaces: input.hasAllWorkspaces === false ? 0 : 1,
  };
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await insertResourceServer(tx, row);
    await recordEvent(work, {
      kind: 'resource.added',
      accountId: act.accountId,
      subject: row.id,
      details: { ...reasonDetails(act), url, name: input.name },
    });
  });
  return { server: toResourceServer(row), secret };
}

/**
 * Adds a resource server, unless one with this URL and name exists, so that a repeated command adds nothing.
 *
 * @param rotate replaces the secret of an existing resource server
 * @returns the resource server, and its secret if it is new
 * @throws Failure `badRequest` as addResourceServer(), and if the existing resource server has other scopes
 */
export async function addResourceServerOnce(
  deps: Deps,
  origin: RequestOrigin,
  input: ResourceServerInput,
  rotate: boolean,
  act: OperatorAct = AT_COMMAND_LINE,
): Promise<{ server: ResourceServer; secret: string | undefined }> {
  const row = await findSameResourceServer(deps, input);
  if (row === undefined) return addResourceServer(deps, origin, input, act);
  const server = toResourceServer(row);
  if (input.scopes !== undefined && formatScope(input.scopes) !== row.scopes) {
    throw new Failure(
      'badRequest',
      `${row.id} has this URL and name, and other scopes (${row.scopes ?? 'all'}). Remove it first, or give another name.`,
    );
  }
  if (input.understandsWorkspaces === true && !server.understandsWorkspaces) {
    throw new Failure(
      'badRequest',
      `${row.id} has this URL and name, and does not understand workspaces yet: vouchsafe resource change ${row.id} --workspaces`,
    );
  }
  if (!rotate) return { server, secret: undefined };
  return rotateResourceServerSecret(deps, origin, row.id, 0, act);
}

/** Finds the resource server in service with this URL and name. @throws Failure `badRequest` for an unusable URL */
export async function findSameResourceServer(
  { db }: Pick<Deps, 'db'>,
  input: Pick<ResourceServerInput, 'url' | 'name'>,
): Promise<ResourceServerRow | undefined> {
  const url = normalizeAudienceUrl(input.url);
  return (await listResourceServerRows(db)).find((each) => each.url === url && each.name === input.name);
}

/** The longest overlap of two secrets. */
export const OVERLAP_MAX_MS = 30 * DAY_MS;

/**
 * Gives a resource server a new secret. The one so far works for another `overlapMs`, so that it can be replaced on
 * all machines meanwhile; one from before that ends at once.
 *
 * @param overlapMs 0: the secret so far ends now; at most OVERLAP_MAX_MS
 * @returns the resource server, and its new client_secret, of which only the hash is stored
 * @throws Failure `notFound`, `badRequest` for an overlap that is too long
 */
export async function rotateResourceServerSecret(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  overlapMs: number,
  act: OperatorAct = AT_COMMAND_LINE,
): Promise<{ server: ResourceServer; secret: string }> {
  if (overlapMs > OVERLAP_MAX_MS) throw new Failure('badRequest', 'Two secrets overlap for 30 days at most.');
  const secret = newSecret('rss', deps.random);
  const server = await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const previousEndsAt = overlapMs === 0 ? null : now + overlapMs;
    if ((await updateResourceServerSecret(tx, id, hashSecret(secret), previousEndsAt)) !== 1) {
      throw new Failure('notFound', 'There is no such resource server.');
    }
    await recordEvent(work, {
      kind: 'resource.rotated',
      accountId: act.accountId,
      subject: id,
      details: { ...reasonDetails(act), overlap_seconds: Math.round(overlapMs / 1000) },
    });
    return toResourceServer((await findResourceServer(tx, id))!);
  });
  caches.get(deps.db)?.clear();
  return { server, secret };
}

/**
 * Sets whether a resource server understands workspaces, and of which it is told. Only what is given changes.
 *
 * @throws Failure `notFound`
 */
export async function changeResourceServer(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  to: Pick<ResourceServerInput, 'understandsWorkspaces' | 'hasAllWorkspaces'>,
  act: OperatorAct = AT_COMMAND_LINE,
): Promise<ResourceServer> {
  const server = await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    const row = await findResourceServer(tx, id);
    const workspaces = to.understandsWorkspaces ?? row?.workspaces === 1;
    const allWorkspaces = to.hasAllWorkspaces ?? row?.allWorkspaces === 1;
    const flags = { workspaces: workspaces ? 1 : 0, allWorkspaces: allWorkspaces ? 1 : 0 };
    if (row === undefined || (await updateResourceServerWorkspaces(tx, id, flags)) !== 1) {
      throw new Failure('notFound', 'There is no such resource server.');
    }
    await recordEvent(work, {
      kind: 'resource.changed',
      accountId: act.accountId,
      subject: id,
      details: { ...reasonDetails(act), workspaces, all_workspaces: allWorkspaces },
    });
    return toResourceServer({ ...row, ...flags });
  });
  caches.get(deps.db)?.clear();
  return server;
}

/** Lists the resource servers that may introspect, oldest first. */
export async function listResourceServers(deps: Pick<Deps, 'db'>): Promise<ResourceServer[]> {
  return (await listResourceServerRows(deps.db)).map(toResourceServer);
}

/** Removes a resource server. Returns whether there was one to remove. */
export async function removeResourceServer(
  deps: Deps,
  origin: RequestOrigin,
  id: string,
  act: OperatorAct = AT_COMMAND_LINE,
): Promise<boolean> {
  const removed = await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const isRemoved = (await updateResourceServerRemoved(tx, id, now)) === 1;
    if (isRemoved) {
      await recordEvent(work, {
        kind: 'resource.removed',
        accountId: act.accountId,
        subject: id,
        details: reasonDetails(act),
      });
    }
    return isRemoved;
  });
  caches.get(deps.db)?.clear();
  return removed;
}

/** Converts a row to a resource server without the hash of its secret. */
export function toResourceServer(
  row: Pick<
    ResourceServerRow,
    'id' | 'url' | 'name' | 'scopes' | 'createdAt' | 'workspaces' | 'allWorkspaces'
  >,
): ResourceServer {
  return {
    id: row.id,
    url: row.url,
    name: row.name,
    scopes: row.scopes === null ? undefined : parseScope(row.scopes),
    understandsWorkspaces: row.workspaces === 1,
    hasAllWorkspaces: row.allWorkspaces === 1,
    createdAt: row.createdAt,
  };
}

/**
 * How long an authenticated resource server is cached: there are few of them, and they send many requests. One that
 * another process removes, and a secret that it rotates, can still authenticate for this long.
 */
const CACHE_TTL_MS = 1000;

/** A resource server and when the secret that it presented ends, epoch ms. */
interface Authenticated {
  server: ResourceServer;
  endsAt: number;
}

const caches = new WeakMap<Db, LRUCache<string, Authenticated>>();

/** Returns the cache of authenticated resource servers of a database, by `client_id:client_secret`. */
export function authenticatedServerCache(db: Db): LRUCache<string, Authenticated> {
  let cache = caches.get(db);
  if (cache === undefined) {
    cache = new LRUCache({ max: 1000, ttl: CACHE_TTL_MS });
    caches.set(db, cache);
  }
  return cache;
}
