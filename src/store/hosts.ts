import type { ListPlace } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { countUpTo, type ListOrder, rowsBeside, rowsUpTo, startsWith } from './pages.ts';

/** A host of the Agent Auth Protocol, known by the thumbprint of its key (RFC 7638). */
export interface HostRow {
  id: string;
  registrationId: string;
  /** The host's own account, in which its agents work until a human owns the host. */
  accountId: string;
  name: string | null;
  thumbprint: string;
  publicJwk: string;
  createdAt: number;
  ownerId: string | null;
  linkedAt: number | null;
  revokedAt: number | null;
  /** When its registration expires unless a human owns the host. */
  expiresAt: number;
}

/** Inserts a host unless its key is known; returns whether it did. Of concurrent calls, one does. */
export async function insertHost(
  tx: Tx,
  host: Pick<HostRow, 'id' | 'registrationId' | 'accountId' | 'name' | 'thumbprint' | 'publicJwk'> & {
    now: number;
  },
): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO hosts (id, registration_id, account_id, name, thumbprint, public_jwk, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    [host.id, host.registrationId, host.accountId, host.name, host.thumbprint, host.publicJwk, host.now],
  );
  return inserted === 1;
}

export function findHostByThumbprint(db: Pick<Tx, 'get'>, thumbprint: string): Promise<HostRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM hosts WHERE thumbprint = ?`, [thumbprint]);
}

export function findHost(db: Pick<Tx, 'get'>, id: string): Promise<HostRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM hosts WHERE id = ?`, [id]);
}

/** Locks a host and returns it: until the transaction ends, no other one links, re-keys or revokes it. */
export function lockHost(tx: Tx, id: string): Promise<HostRow | undefined> {
  return tx.get(`UPDATE hosts SET thumbprint = thumbprint WHERE id = ? RETURNING ${COLUMNS}`, [id]);
}

/** Lists the hosts of an owner, newest linked first. */
export function listHostsOf(db: Pick<Db, 'all'>, ownerId: string): Promise<HostRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM hosts WHERE owner_id = ? ORDER BY linked_at DESC, id DESC`, [
    ownerId,
  ]);
}

const LAST_LINKED: ListOrder = { keys: ['linked_at', 'id'], isDescending: true };

/**
 * Lists a page of an owner's hosts, newest linked first, each with the number of its agents that work, up to COUNT_MAX + 1.
 *
 * @param search the start of a name, in any case, or of an id
 * @param lifetimeStart epoch ms; agents that registered by then are past their absolute lifetime
 * @param place where the page begins or ends; undefined: the first page
 * @param limit a constant of the program
 */
export function listHostsPage(
  db: Pick<Db, 'all'>,
  ownerId: string,
  search: string | undefined,
  lifetimeStart: number,
  place: ListPlace<number> | undefined,
  limit: number,
): Promise<(HostRow & { agents: number })[]> {
  const found = startsWith(search, { name: 'name', id: 'id' });
  const { condition, orderBy } = rowsBeside(
    LAST_LINKED,
    place && { side: place.side, values: [place.key, place.id] },
  );
  const agents = countUpTo(`FROM hosted_agents h JOIN agents a ON a.id = h.id
    WHERE h.host_id = hosts.id AND h.ended_at IS NULL AND h.created_at > ? AND a.revoked_at IS NULL`);
  return db.all(
    `SELECT ${COLUMNS}, ${agents} AS agents FROM hosts WHERE owner_id = ? ${found.sql}${condition.sql} ${orderBy} LIMIT ${limit}`,
    [lifetimeStart, ownerId, ...found.params, ...condition.params],
  );
}

/** Counts an owner's hosts: those that are searched for, and of these those before a place; up to COUNT_MAX + 1. */
export async function countHosts(
  db: Pick<Db, 'get'>,
  ownerId: string,
  search: string | undefined,
  place: ListPlace<number> | undefined,
): Promise<{ found: number; preceding: number }> {
  const found = startsWith(search, { name: 'name', id: 'id' });
  const upTo = place && rowsUpTo(LAST_LINKED, { side: place.side, values: [place.key, place.id] });
  const row = await db.get<{ found: number; preceding?: number }>(
    `SELECT ${countUpTo(`FROM hosts WHERE owner_id = ? ${found.sql}`)} AS found
     ${upTo ? `, ${countUpTo(`FROM hosts WHERE owner_id = ? ${found.sql}${upTo.sql}`)} AS preceding` : ''}`,
    [ownerId, ...found.params, ...(upTo ? [ownerId, ...found.params, ...upTo.params] : [])],
  );
  return { found: row!.found, preceding: row!.preceding ?? 0 };
}

/** Links a host to its owner, once. */
export function updateHostLinked(tx: Tx, id: string, ownerId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE hosts SET owner_id = ?, linked_at = ? WHERE id = ? AND owner_id IS NULL AND revoked_at IS NULL`,
    [ownerId, now, id],
  );
}

export function updateHostRevoked(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE hosts SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [now, id]);
}

/**
 * Replaces the key of a host and retires the old key, which no host can have again.
 *
 * @returns false where the new key is in use or retired, or another call replaced the old key first
 */
export async function updateHostKey(
  tx: Tx,
  host: Pick<HostRow, 'id' | 'thumbprint'>,
  key: Pick<HostRow, 'thumbprint' | 'publicJwk'>,
  now: number,
): Promise<boolean> {
  const taken = await tx.get(
    `SELECT 1 AS one FROM hosts WHERE thumbprint = ?
     UNION ALL SELECT 1 AS one FROM retired_host_keys WHERE thumbprint = ?`,
    [key.thumbprint, key.thumbprint],
  );
  if (taken !== undefined) return false;
  await tx.run('INSERT INTO retired_host_keys (thumbprint, host_id, retired_at) VALUES (?, ?, ?)', [
    host.thumbprint,
    host.id,
    now,
  ]);
  const changed = await tx.run(
    'UPDATE hosts SET thumbprint = ?, public_jwk = ? WHERE id = ? AND thumbprint = ?',
    [key.thumbprint, key.publicJwk, host.id, host.thumbprint],
  );
  return changed === 1;
}

/** Whether a host had this key before and replaced it. */
export async function isRetiredHostKey(db: Pick<Tx, 'get'>, thumbprint: string): Promise<boolean> {
  const found = await db.get('SELECT 1 AS one FROM retired_host_keys WHERE thumbprint = ?', [thumbprint]);
  return found !== undefined;
}

const COLUMNS = `id, registration_id AS "registrationId", account_id AS "accountId", name, thumbprint,
  public_jwk AS "publicJwk", created_at AS "createdAt", owner_id AS "ownerId", linked_at AS "linkedAt",
  revoked_at AS "revokedAt",
  (SELECT expires_at FROM registrations WHERE id = hosts.registration_id) AS "expiresAt"`;
