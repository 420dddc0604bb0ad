import type { Deps } from '../../deps.ts';
import { Failure } from '../../errors.ts';
import {
  cutPage,
  formatTimeCursor,
  type ListPage,
  type ListQuery,
  PAGE_LIMIT,
  parseTimeCursor,
} from '../../lib/list-pages.ts';
import { findHost, type HostRow, listHostsPage } from '../../store/hosts.ts';

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

/** Lists the hosts of a human, those linked last first, including revoked ones. */
export async function listOwnedHosts(
  deps: Deps,
  ownerId: string,
  query: ListQuery = {},
): Promise<ListPage<OwnedHost>> {
  const mark = parseTimeCursor(query.before);
  const before = mark && { linkedAt: mark.at, id: mark.id };
  const rows = await listHostsPage(deps.db, ownerId, before, PAGE_LIMIT);
  const { items, next } = cutPage(rows, (row) => formatTimeCursor(row.linkedAt!, row.id));
  return { items: items.map(toOwnedHost), next };
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
