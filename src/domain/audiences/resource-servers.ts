import { LRUCache } from 'lru-cache';
import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import { checkResourceUrl } from '../../lib/audience-url.ts';
import { newId } from '../../lib/ids.ts';
import { formatScope, parseScope } from '../../lib/scopes.ts';
import { hashSecret, newSecret } from '../../lib/secrets.ts';
import type { Db } from '../../store/engine/db.ts';
import {
  insertResourceServer,
  listResourceServerRows,
  type ResourceServerRow,
  updateResourceServerRemoved,
  updateResourceServerSecret,
} from '../../store/resource-servers.ts';
import type { RequestOrigin } from '../../work.ts';
import { record } from '../audit/audit-log.ts';
import { useCase } from '../limits/use-case.ts';
/** An API or MCP server that may ask about the credentials it is shown. */
export interface ResourceServer {
  /** `rs_…`, its client_id. */
  id: string;
  /** The URL that names it (RFC 8707); a key can be narrowed to it. */
  url: string;
  name: string;
  /** The scopes it knows; undefined: all. It is told of no other. */
  scopes: string[] | undefined;
  /** Epoch ms. */
  createdAt: number;
}

/** What a resource server is added with. */
export interface ResourceServerInput {
  /** Absolute, http or https, no fragment. */
  url: string;
  name: string;
  /** undefined: all. */
  scopes: readonly string[] | undefined;
}

/**
 * Adds a resource server.
 *
 * @returns it, and the secret by which it authenticates, which is shown here and never again
 * @throws Failure `badRequest`
 */
export async function addResourceServer(
  deps: Deps,
  origin: RequestOrigin,
  input: ResourceServerInput,
): Promise<{ server: ResourceServer; secret: string }> {
  const url = checkResourceUrl(input.url);
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
    removedAt: null,
  };
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await insertResourceServer(tx, row);
    await record(work, { kind: 'resource.added', subject: row.id });
  });
  return { server: toServer(row), secret };
}

/**
 * Adds a resource server unless one with this URL and name is in service: a command that is repeated adds nothing.
 *
 * @param rotate gives the one that is there a new secret; its old one ends
 * @returns the secret only where it is new
 * @throws Failure `badRequest`, also where the one that is there has other scopes
 */
export async function addResourceServerOnce(
  deps: Deps,
  origin: RequestOrigin,
  input: ResourceServerInput,
  rotate: boolean,
): Promise<{ server: ResourceServer; secret: string | undefined }> {
  const url = checkResourceUrl(input.url);
  const row = (await listResourceServerRows(deps.db)).find(
    (each) => each.url === url && each.name === input.name,
  );
  if (row === undefined) return addResourceServer(deps, origin, input);
  const server = toServer(row);
  if (input.scopes !== undefined && formatScope(input.scopes) !== row.scopes) {
    throw new Failure(
      'badRequest',
      `${row.id} has this URL and name, and other scopes (${row.scopes ?? 'all'}). Remove it first, or give another name.`,
    );
  }
  if (!rotate) return { server, secret: undefined };
  const secret = newSecret('rss', deps.random);
  await useCase(deps, origin, {}, async (work) => {
    const { tx } = work;
    await updateResourceServerSecret(tx, row.id, hashSecret(secret));
    await record(work, { kind: 'resource.rotated', subject: row.id });
  });
  recent.get(deps.db)?.clear();
  return { server, secret };
}

/** Those that may introspect, oldest first. */
export async function listResourceServers(deps: Pick<Deps, 'db'>): Promise<ResourceServer[]> {
  return (await listResourceServerRows(deps.db)).map(toServer);
}

/** Takes a resource server out of service; returns whether it was in it. */
export async function removeResourceServer(deps: Deps, origin: RequestOrigin, id: string): Promise<boolean> {
  const removed = await useCase(deps, origin, {}, async (work) => {
    const { tx, now } = work;
    const won = (await updateResourceServerRemoved(tx, id, now)) === 1;
    if (won) await record(work, { kind: 'resource.removed', subject: id });
    return won;
  });
  recent.get(deps.db)?.clear();
  return removed;
}

export function toServer(row: ResourceServerRow): ResourceServer {
  return {
    id: row.id,
    url: row.url,
    name: row.name,
    scopes: row.scopes === null ? undefined : parseScope(row.scopes),
    createdAt: row.createdAt,
  };
}

/**
 * Who has proven within the last second who it is need not be looked up again: resource servers are few and ask all the time.
 * One that another process removes is heard for that long.
 */
const RECENT_MS = 1000;

const recent = new WeakMap<Db, LRUCache<string, ResourceServer>>();

export function provenAt(db: Db): LRUCache<string, ResourceServer> {
  let proven = recent.get(db);
  if (proven === undefined) {
    proven = new LRUCache({ max: 1000, ttl: RECENT_MS });
    recent.set(db, proven);
  }
  return proven;
}
