import type { Db, Tx } from './engine/db.ts';

/** A resource server: an API or MCP server that may introspect. */
export interface ResourceServerRow {
  id: string;
  secretHash: Buffer;
  /** Its audience. */
  url: string;
  name: string;
  /** The scopes that it knows, separated by spaces; null: every scope. */
  scopes: string | null;
  createdAt: number;
  removedAt: number | null;
}

export async function insertResourceServer(
  tx: Tx,
  server: Omit<ResourceServerRow, 'removedAt'>,
): Promise<void> {
  await tx.run(
    'INSERT INTO resource_servers (id, secret_hash, url, name, scopes, created_at) VALUES (?, ?, ?, ?, ?, ?)',
    [server.id, server.secretHash, server.url, server.name, server.scopes, server.createdAt],
  );
}

export function findResourceServer(db: Pick<Tx, 'get'>, id: string): Promise<ResourceServerRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM resource_servers WHERE id = ?`, [id]);
}

/** Lists the resource servers that were not removed, oldest first. */
export function listResourceServerRows(db: Pick<Db, 'all'>): Promise<ResourceServerRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM resource_servers WHERE removed_at IS NULL ORDER BY id`);
}

/** Replaces the client secret of a resource server. */
export async function updateResourceServerSecret(tx: Tx, id: string, secretHash: Buffer): Promise<void> {
  await tx.run('UPDATE resource_servers SET secret_hash = ? WHERE id = ?', [secretHash, id]);
}

/** Marks a resource server as removed, once. */
export function updateResourceServerRemoved(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE resource_servers SET removed_at = ? WHERE id = ? AND removed_at IS NULL', [now, id]);
}

const COLUMNS = `id, secret_hash AS "secretHash", url, name, scopes, created_at AS "createdAt",
  removed_at AS "removedAt"`;
