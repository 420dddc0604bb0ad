import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import {
  formatNumberMark,
  type ListPage,
  type ListQuery,
  mapPage,
  parseNumberMark,
  readPage,
} from '../../lib/list-pages.ts';
import { countHosts, findHost, type HostRow, listHostsPage } from '../../store/hosts.ts';
import { absoluteLifetimeEnd } from '../agents/agent-lifecycle.ts';

/** A host as its owner sees it. */
export interface OwnedHost {
  id: string;
  /** The name that the host sent: unverified. */
  name: string | undefined;
  /** Epoch ms, all three. */
  createdAt: number;
  linkedAt: number;
  revokedAt: number | undefined;
}

/** A host in the list of its owner. */
export interface ListedHost extends OwnedHost {
  /** How many of its agents work, up to COUNT_MAX + 1. */
  agents: number;
}

/** Lists a page of the hosts of a human, those linked last first, including revoked ones. */
export async function listOwnedHosts(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  ownerId: string,
  { search, at, rows }: ListQuery<never, never>,
): Promise<ListPage<ListedHost>> {
  const lifetimeStart = deps.clock() - absoluteLifetimeEnd(deps, 0);
  const page = await readPage(
    parseNumberMark(at),
    rows,
    (place, limit) => listHostsPage(deps.db, ownerId, search, lifetimeStart, place, limit),
    (row) => formatNumberMark(row.linkedAt!, row.id),
  );
  return mapPage(page, (found) => found.map((row) => ({ ...toOwnedHost(row), agents: row.agents })));
}

/** Counts the hosts of a human that are searched for, and those before a page of their list; up to COUNT_MAX + 1. */
export function countOwnedHosts(
  { db }: Pick<Deps, 'db'>,
  ownerId: string,
  { search, at }: ListQuery<never, never>,
): Promise<{ found: number; preceding: number }> {
  return countHosts(db, ownerId, search, parseNumberMark(at));
}

/** Shows one host of a human. @throws Failure `notFound`, also for a host of another owner */
export async function showOwnedHost(deps: Deps, ownerId: string, id: string): Promise<OwnedHost> {
  const row = await findHost(deps.db, id);
  if (row?.ownerId !== ownerId) throw hostNotFound();
  return toOwnedHost(row);
}

/** Creates the failure for a host that the human does not own. */
export function hostNotFound(): Failure {
  return new Failure('notFound', 'There is no such host among yours.');
}

function toOwnedHost(row: HostRow): OwnedHost {
  return {
    id: row.id,
    name: row.name ?? undefined,
    createdAt: row.createdAt,
    linkedAt: row.linkedAt!,
    revokedAt: row.revokedAt ?? undefined,
  };
}
