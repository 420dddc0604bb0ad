import type { Db, Tx } from './engine/db.ts';

/** A resource server: an API or MCP server that may introspect. */
export interface ResourceServerRow {
  id: string;
  secretHash: Buffer;
  /** The secret before the current one, which works until `previousEndsAt`, epoch ms; null: none. */
  previousSecretHash: Buffer | null;
  previousEndsAt: number | null;
  /** Its audience. */
  url: string;
  name: string;
  /** The scopes that it knows, separated by spaces; null: every scope. */
  scopes: string | null;
  createdAt: number;
  /** 1: it understands workspaces. */
  workspaces: number;
  /** 0: it is told only of workspaces that it is connected to, or where it has a place. */
  allWorkspaces: number;
  removedAt: number | null;
  /** When it last authenticated, to the minute. */
  seenAt: number | null;
  /** When it last followed the revocation feed, to the minute. */
  followedAt: number | null;
}

export async function insertResourceServer(
  tx: Tx,
  server: Pick<
    ResourceServerRow,
    'id' | 'secretHash' | 'url' | 'name' | 'scopes' | 'createdAt' | 'workspaces' | 'allWorkspaces'
  >,
): Promise<void> {
  await tx.run(
    `INSERT INTO resource_servers (id, secret_hash, url, name, scopes, created_at, workspaces, all_workspaces)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      server.id,
      server.secretHash,
      server.url,
      server.name,
      server.scopes,
      server.createdAt,
      server.workspaces,
      server.allWorkspaces,
    ],
  );
}

export function findResourceServer(db: Pick<Tx, 'get'>, id: string): Promise<ResourceServerRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM resource_servers WHERE id = ?`, [id]);
}

/** Lists the resource servers that were not removed, oldest first. */
export function listResourceServerRows(db: Pick<Db, 'all'>): Promise<ResourceServerRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM resource_servers WHERE removed_at IS NULL ORDER BY id`);
}

/**
 * Replaces the client secret of a resource server that was not removed, once.
 *
 * @param previousEndsAt until when the secret so far works, epoch ms; null: it ends now
 */
export function updateResourceServerSecret(
  tx: Tx,
  id: string,
  secretHash: Buffer,
  previousEndsAt: number | null,
): Promise<number> {
  return tx.run(
    `UPDATE resource_servers SET previous_secret_hash = CASE WHEN CAST(? AS BIGINT) IS NULL THEN NULL ELSE secret_hash END,
       previous_ends_at = ?, secret_hash = ? WHERE id = ? AND removed_at IS NULL`,
    [previousEndsAt, previousEndsAt, secretHash, id],
  );
}

/** Stores when a resource server was last seen, and last followed the feed. A stored time that is later stays. */
export async function updateResourceServerSeen(
  tx: Tx,
  id: string,
  seenAt: number,
  followedAt: number | null,
): Promise<void> {
  await tx.run(
    `UPDATE resource_servers SET
       seen_at = CASE WHEN seen_at > ? THEN seen_at ELSE ? END,
       followed_at = CASE WHEN CAST(? AS BIGINT) IS NULL OR followed_at > ? THEN followed_at ELSE ? END
     WHERE id = ?`,
    [seenAt, seenAt, followedAt, followedAt, followedAt, id],
  );
}

/** Sets whether a resource server that was not removed understands workspaces, and is told of all. */
export function updateResourceServerWorkspaces(
  tx: Tx,
  id: string,
  { workspaces, allWorkspaces }: Pick<ResourceServerRow, 'workspaces' | 'allWorkspaces'>,
): Promise<number> {
  return tx.run(
    'UPDATE resource_servers SET workspaces = ?, all_workspaces = ? WHERE id = ? AND removed_at IS NULL',
    [workspaces, allWorkspaces, id],
  );
}

/** Marks a resource server as removed, once. */
export function updateResourceServerRemoved(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE resource_servers SET removed_at = ? WHERE id = ? AND removed_at IS NULL', [now, id]);
}

const COLUMNS = `id, secret_hash AS "secretHash", previous_secret_hash AS "previousSecretHash",
  previous_ends_at AS "previousEndsAt", url, name, scopes, created_at AS "createdAt", workspaces,
  all_workspaces AS "allWorkspaces", removed_at AS "removedAt",
  seen_at AS "seenAt", followed_at AS "followedAt"`;
