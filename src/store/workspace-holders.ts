import type { ListSide } from '../lib/list-pages.ts';
import type { Db } from './engine/db.ts';
import { type ListOrder, rowsBeside } from './pages.ts';

/** Statements by which a workspace lists and counts the agents and apps that have places in it. */

export type HolderKind = 'agent' | 'app';

/** An agent, or what a member lets an app do, with places in a workspace. */
export interface HolderRow {
  /** The id of the agent, of what was granted to a request of an agent, or of the consent. */
  id: string;
  /** As somebody wrote it; null: it has none. */
  name: string | null;
  /** The account that gave it the places. */
  grantedBy: string;
  givenAt: number;
}

/**
 * Lists a page of the agents or apps that have a place in a workspace now, newest first.
 *
 * @param grantedBy only those that this account let in; undefined: all
 * @param limit a constant of the program
 */
export function listHolderPage(
  db: Pick<Db, 'all'>,
  { workspaceId, kind, grantedBy, now }: HolderSelection,
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<HolderRow[]> {
  const { condition, orderBy } = rowsBeside(NEWEST, place && { side: place.side, values: [place.id] });
  return db.all(
    `SELECT id, "grantedBy", "givenAt", ${NAMES[kind]} AS name FROM
       (SELECT holder AS id, MIN(granted_by) AS "grantedBy", MIN(created_at) AS "givenAt" FROM places
        WHERE workspace_id = ?${grantedBy === undefined ? '' : ' AND granted_by = ?'} AND ended_at IS NULL
          AND (expires_at IS NULL OR expires_at > ?) AND SUBSTR(holder, 1, 4) IN (${PREFIXES[kind]}) GROUP BY holder) h
     WHERE 1 = 1${condition.sql} ${orderBy} LIMIT ${limit}`,
    [workspaceId, ...(grantedBy === undefined ? [] : [grantedBy]), now, ...condition.params],
  );
}

/** Selects agents or apps of a workspace. */
export interface HolderSelection {
  workspaceId: string;
  kind: HolderKind;
  grantedBy: string | undefined;
  now: number;
}

const NEWEST: ListOrder = { keys: ['id'], isDescending: true };
const PREFIXES: Record<HolderKind, string> = { agent: `'agt_', 'grt_'`, app: `'con_'` };
const NAMES: Record<HolderKind, string> = {
  agent: `COALESCE((SELECT name FROM agents a WHERE a.id = h.id),
    (SELECT a.name FROM permission_grants g JOIN agents a ON a.id = g.agent_id WHERE g.id = h.id))`,
  app: '(SELECT c.name FROM oauth_grants g JOIN oauth_clients c ON c.id = g.client_id WHERE g.id = h.id)',
};

/** Counts the keys, agents and apps that have a live place in a workspace. */
export async function countHoldersIn(
  db: Pick<Db, 'get'>,
  workspaceId: string,
  now: number,
): Promise<{ keys: number; agents: number; apps: number }> {
  const countOf = (...prefixes: string[]) =>
    `COUNT(DISTINCT CASE WHEN SUBSTR(holder, 1, 4) IN (${prefixes.map((prefix) => `'${prefix}'`).join(', ')}) THEN holder END)`;
  const row = await db.get<{ keys: number; agents: number; apps: number }>(
    `SELECT ${countOf('key_')} AS keys, ${countOf('agt_', 'grt_')} AS agents, ${countOf('con_')} AS apps FROM places
     WHERE workspace_id = ? AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`,
    [workspaceId, now],
  );
  return row!;
}
