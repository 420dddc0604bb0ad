import type { Deps } from '../../deps.ts';
import {
  cutPage,
  formatTimeCursor,
  type ListPage,
  type ListQuery,
  PAGE_LIMIT,
  parseTimeCursor,
} from '../../lib/list-pages.ts';
import { listHostsPage } from '../../store/hosts.ts';

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
  const hosts = items.map((row) => ({
    id: row.id,
    name: row.name ?? undefined,
    createdAt: row.createdAt,
    linkedAt: row.linkedAt!,
    revokedAt: row.revokedAt ?? undefined,
  }));
  return { items: hosts, next };
}
