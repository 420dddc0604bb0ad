import type { ListFilter } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds, searchParams, stateParam } from './pages.ts';

export interface CredentialRow {
  hash: Buffer;
  id: string;
  /** `token`: short-lived, got for an assertion. */
  kind: 'key' | 'token';
  /** Null: a key of the human's own. */
  agentId: string | null;
  accountId: string;
  name: string | null;
  scope: string;
  resources: string | null;
  prefix: string;
  lastFour: string;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
  /** Where that was, in words. */
  lastUsedFrom: string | null;
  retiresOthers: number;
  supersededBy: string | null;
}

/** Of a key what decides whether, for whom and for what it works. */
export interface BearerRow
  extends Pick<
    CredentialRow,
    | 'id'
    | 'agentId'
    | 'accountId'
    | 'scope'
    | 'resources'
    | 'createdAt'
    | 'expiresAt'
    | 'revokedAt'
    | 'retiresOthers'
    | 'supersededBy'
  > {
  agentRevokedAt: number | null;
  agentMergedFrom: string | null;
  /** The human's account: the key's own, or the one that it is linked to. */
  ownerId: string | null;
}

export async function insertCredential(
  tx: Tx,
  credential: Omit<CredentialRow, 'revokedAt' | 'lastUsedAt' | 'lastUsedFrom' | 'supersededBy'> & {
    warnAt: number | null;
  },
): Promise<void> {
  await tx.run(
    `INSERT INTO credentials
       (hash, id, agent_id, account_id, name, scope, resources, prefix, last_four, created_at, expires_at, retires_others,
        warn_at, kind)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      credential.hash,
      credential.id,
      credential.agentId,
      credential.accountId,
      credential.name,
      credential.scope,
      credential.resources,
      credential.prefix,
      credential.lastFour,
      credential.createdAt,
      credential.expiresAt,
      credential.retiresOthers,
      credential.warnAt,
      credential.kind,
    ],
  );
}

/**
 * The one lookup of the hot path: by the hash of the secret, which is the primary key. No column more than is needed, and
 * subselects instead of joins: SQLite answers them in a quarter of the time.
 */
export function findBearerByHash(db: Pick<Tx, 'get'>, hash: Buffer): Promise<BearerRow | undefined> {
  return db.get(
    `SELECT ${BEARER_COLUMNS},
       (SELECT revoked_at FROM agents WHERE id = c.agent_id) AS "agentRevokedAt",
       (SELECT merged_from FROM agents WHERE id = c.agent_id) AS "agentMergedFrom",
       (SELECT CASE kind WHEN 'human' THEN id ELSE parent_id END
          FROM accounts WHERE id = c.account_id) AS "ownerId"
     FROM credentials c WHERE c.hash = ?`,
    [hash],
  );
}

export function listCredentials(db: Pick<Db, 'all'>, agentId: string): Promise<CredentialRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM credentials c WHERE c.agent_id = ? ORDER BY c.id`, [agentId]);
}

/** Ends the tokens of an agent, and leaves its keys. */
export function updateTokensOfAgentRevoked(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ? WHERE agent_id = ? AND kind = 'token' AND revoked_at IS NULL`,
    [now, agentId],
  );
}

/** Gives the live keys of an agent more scope, in the account that it works in now: auth.md v0.1 promises it. */
export function updateKeysOfAgentScope(
  tx: Tx,
  agentId: string,
  to: Pick<CredentialRow, 'scope' | 'accountId'>,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE credentials SET scope = ?, account_id = ?, expires_at = NULL
     WHERE agent_id = ? AND kind = 'key' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`,
    [to.scope, to.accountId, agentId, now],
  );
}

/** The keys of a human's own, newest first. */
export function listPersonalCredentials(db: Pick<Db, 'all'>, accountId: string): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM credentials c WHERE c.account_id = ? AND c.agent_id IS NULL ORDER BY c.id DESC`,
    [accountId],
  );
}

/**
 * A page of the keys of a human's own, newest first, also of ended ones.
 *
 * @param before the id of the last of the page before
 */
export function listPersonalPage(
  db: Pick<Db, 'all'>,
  accountId: string,
  filter: ListFilter,
  before: string | undefined,
  now: number,
  limit: number,
): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM credentials c WHERE c.account_id = ? AND c.agent_id IS NULL AND c.id < ?
       AND (LOWER(COALESCE(c.name, '')) LIKE ? ESCAPE '!' OR c.name LIKE ? ESCAPE '!' OR c.id = ?)
       AND CASE WHEN c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?) THEN 'live' ELSE 'ended' END LIKE ?
     ORDER BY c.id DESC LIMIT ?`,
    [accountId, before ?? '~', ...searchParams(filter), now, stateParam(filter), limit],
  );
}

/** A page of the keys of an agent, newest first, also of ended ones. */
export function listKeysPage(
  db: Pick<Db, 'all'>,
  agentId: string,
  before: string | undefined,
  limit: number,
): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM credentials c WHERE c.agent_id = ? AND c.kind = 'key' AND c.id < ?
     ORDER BY c.id DESC LIMIT ?`,
    [agentId, before ?? '~', limit],
  );
}

/** Of the agents of a page the keys and tokens that work, and the one that was used last. */
export function listCredentialsOfAgents(
  db: Pick<Db, 'all'>,
  agentIds: readonly string[],
  now: number,
): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM
       (SELECT k.*, ROW_NUMBER() OVER (PARTITION BY k.agent_id ORDER BY COALESCE(k.last_used_at, 0) DESC) AS place
        FROM credentials k WHERE k.agent_id IN (${PAGE_MARKS})) c
     WHERE c.place = 1 OR (c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?))`,
    [...pageIds(agentIds), now],
  );
}

/** The names of the keys of a page. */
export async function listCredentialNames(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  const rows = await db.all<{ id: string; name: string | null }>(
    `SELECT id, name FROM credentials WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}

export function findCredential(db: Pick<Tx, 'get'>, id: string): Promise<CredentialRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM credentials c WHERE c.id = ?`, [id]);
}

/** Revokes a key unless it was revoked already; of two calls at once, one did. */
export function updateCredentialRevoked(tx: Tx, hash: Buffer, now: number): Promise<number> {
  return tx.run('UPDATE credentials SET revoked_at = ? WHERE hash = ? AND revoked_at IS NULL', [now, hash]);
}

export function updateCredentialsOfAgentRevoked(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run('UPDATE credentials SET revoked_at = ? WHERE agent_id = ? AND revoked_at IS NULL', [
    now,
    agentId,
  ]);
}

export function updatePersonalCredentialsRevoked(tx: Tx, accountId: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE credentials SET revoked_at = ? WHERE account_id = ? AND agent_id IS NULL AND revoked_at IS NULL',
    [now, accountId],
  );
}

/** Makes a key narrower: fewer scopes, perhaps another account, perhaps an end. */
export function updateCredentialScope(
  tx: Tx,
  hash: Buffer,
  to: Pick<CredentialRow, 'scope' | 'accountId' | 'expiresAt'>,
): Promise<number> {
  return tx.run(
    'UPDATE credentials SET scope = ?, account_id = ?, expires_at = ? WHERE hash = ? AND revoked_at IS NULL',
    [to.scope, to.accountId, to.expiresAt, hash],
  );
}

/** Keys that are about to expire and whose owner is to be told, most urgent first. */
export function listExpiring(
  db: Pick<Db, 'all'>,
  now: number,
  limit: number,
): Promise<Pick<CredentialRow, 'hash' | 'id' | 'accountId'>[]> {
  return db.all(
    'SELECT hash, id, account_id AS "accountId" FROM credentials WHERE warn_at <= ? ORDER BY warn_at LIMIT ?',
    [now, limit],
  );
}

/** Takes it on oneself to tell; of two at once one does. Returns whether the key still works, and so is worth telling of. */
export async function updateCredentialWarned(tx: Tx, hash: Buffer, now: number): Promise<boolean> {
  const row = await tx.get<{ isLive: number }>(
    `UPDATE credentials SET warn_at = NULL WHERE hash = ? AND warn_at IS NOT NULL
     RETURNING CASE WHEN revoked_at IS NULL AND expires_at > ? THEN 1 ELSE 0 END AS "isLive"`,
    [hash, now],
  );
  return row?.isLive === 1;
}

/** Sets an end to the live keys of an agent, and says which new key they make room for. */
export function updateCredentialsSuperseded(
  tx: Tx,
  agentId: string,
  successorId: string,
  expiresAt: number,
): Promise<number> {
  return tx.run(
    `UPDATE credentials SET superseded_by = ?,
       expires_at = CASE WHEN expires_at IS NULL OR expires_at > ? THEN ? ELSE expires_at END
     WHERE agent_id = ? AND id <> ? AND revoked_at IS NULL`,
    [successorId, expiresAt, expiresAt, agentId, successorId],
  );
}

/** Ends the keys that a key superseded, at that one's first use. */
export function updateSupersededRevoked(
  tx: Tx,
  agentId: string,
  successorId: string,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ? WHERE agent_id = ? AND superseded_by = ? AND revoked_at IS NULL`,
    [now, agentId, successorId],
  );
}

export function updateCredentialFirstUsed(tx: Tx, hash: Buffer): Promise<number> {
  return tx.run('UPDATE credentials SET retires_others = 0 WHERE hash = ? AND retires_others = 1', [hash]);
}

export function updateCredentialUsed(tx: Tx, hash: Buffer, at: number, from: string): Promise<number> {
  return tx.run(
    `UPDATE credentials SET last_used_at = ?, last_used_from = ?
     WHERE hash = ? AND (last_used_at IS NULL OR last_used_at < ?)`,
    [at, from, hash, at],
  );
}

const BEARER_COLUMNS = `c.id, c.agent_id AS "agentId", c.account_id AS "accountId", c.scope, c.resources,
  c.created_at AS "createdAt", c.expires_at AS "expiresAt", c.revoked_at AS "revokedAt",
  c.retires_others AS "retiresOthers", c.superseded_by AS "supersededBy"`;
const COLUMNS = `${BEARER_COLUMNS}, c.hash, c.kind, c.name, c.prefix, c.last_four AS "lastFour", c.last_used_at AS "lastUsedAt",
  c.last_used_from AS "lastUsedFrom"`;
