import type { ListSide } from '../lib/list-pages.ts';
import type { Db, Tx } from './engine/db.ts';
import { type ListOrder, PAGE_MARKS, pageIds, rowsBeside } from './pages.ts';

export interface CredentialRow {
  hash: Buffer;
  id: string;
  /** `token`: a short-lived access token, issued for an assertion. `app_key`: the key of a thing in a workspace. */
  kind: 'key' | 'token' | 'app_key';
  /** Null: a personal key of a human, a token of an app, or the key of a thing. */
  agentId: string | null;
  /** The OAuth client that it was issued to; null: none. */
  clientId: string | null;
  /** What the human consented to: the id of a row of `oauth_grants`; null: not issued to an app. */
  oauthGrant: string | null;
  /** The thumbprint of the key that every use must prove (RFC 9449); null: who holds it may use it. */
  keyThumbprint: string | null;
  /** Of the key of a thing: who answers for it; it does not work in that account. */
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
  /** Where it was last used, as text for its owner. */
  lastUsedFrom: string | null;
  /** 1: its first use revokes the keys that it supersedes. */
  retiresOthers: number;
  supersededBy: string | null;
  /** 0: it works in its account alone. 1: in its places alone. 2: in its account, and in the places of its agent. */
  placed: number;
  /** Of a token got with a session key: the ids of the permission grants whose places it reaches, space-separated. */
  grants: string | null;
  /** Where that token may do what at most, as JSON; null: nothing bounds it further. */
  narrowed: string | null;
  /** The SHA-256 of the one action that the token is for, base64url. */
  actionHash: string | null;
}

/** The columns that decide whether a credential is active, and for which agent, account, scopes and audiences. */
export interface BearerRow
  extends Pick<
    CredentialRow,
    | 'id'
    | 'kind'
    | 'agentId'
    | 'accountId'
    | 'clientId'
    | 'oauthGrant'
    | 'keyThumbprint'
    | 'scope'
    | 'resources'
    | 'createdAt'
    | 'expiresAt'
    | 'revokedAt'
    | 'retiresOthers'
    | 'supersededBy'
    | 'placed'
    | 'grants'
    | 'narrowed'
    | 'actionHash'
  > {
  agentRevokedAt: number | null;
  agentMergedFrom: string | null;
  /** When the OAuth client ended or was suspended; null: it may act, or there is none. */
  clientEndedAt: number | null;
  /** The human's account: the credential's own, or the parent of it; null: it has no owner. */
  ownerId: string | null;
}

/** @param credential.placed null: as its agent is placed */
export async function insertCredential(
  tx: Tx,
  credential: Omit<
    CredentialRow,
    | 'revokedAt'
    | 'lastUsedAt'
    | 'lastUsedFrom'
    | 'supersededBy'
    | 'placed'
    | 'grants'
    | 'narrowed'
    | 'actionHash'
  > & {
    /** When its owner is told that it expires soon. */
    warnAt: number | null;
    placed: number | null;
    grants?: string;
    narrowed?: string | undefined;
    actionHash?: string | undefined;
  },
): Promise<void> {
  await tx.run(
    `INSERT INTO credentials
       (hash, id, agent_id, account_id, name, scope, resources, prefix, last_four, created_at, expires_at, retires_others,
        warn_at, kind, client_id, oauth_grant, key_thumbprint, grants, narrowed, action_hash, placed)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
       COALESCE(CAST(? AS BIGINT), (SELECT 2 * placed FROM agents WHERE id = ?), 0))`,
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
      credential.clientId,
      credential.oauthGrant,
      credential.keyThumbprint,
      credential.grants ?? null,
      credential.narrowed ?? null,
      credential.actionHash ?? null,
      credential.placed,
      credential.agentId,
    ],
  );
}

/**
 * Finds a key or token by the hash of its secret, the primary key. Every authenticated request runs this statement. So
 * it reads no more columns than needed, and uses subselects: on SQLite joins take four times as long.
 */
export function findBearerByHash(db: Pick<Tx, 'get'>, hash: Buffer): Promise<BearerRow | undefined> {
  return db.get(
    `SELECT ${BEARER_COLUMNS},
       (SELECT revoked_at FROM agents WHERE id = c.agent_id) AS "agentRevokedAt",
       (SELECT merged_from FROM agents WHERE id = c.agent_id) AS "agentMergedFrom",
       (SELECT CASE kind WHEN 'human' THEN id ELSE parent_id END
          FROM accounts WHERE id = c.account_id) AS "ownerId",
       (SELECT COALESCE(ended_at, suspended_at) FROM oauth_clients WHERE id = c.client_id) AS "clientEndedAt"
     FROM credentials c WHERE c.hash = ?`,
    [hash],
  );
}

export function listCredentials(db: Pick<Db, 'all'>, agentId: string): Promise<CredentialRow[]> {
  return db.all(`SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.agent_id = ? ORDER BY c.id`, [
    agentId,
  ]);
}

/** Revokes the access tokens of an agent and leaves its keys. */
export function updateTokensOfAgentRevoked(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE credentials SET revoked_at = ? WHERE agent_id = ? AND kind = 'token' AND revoked_at IS NULL`,
    [now, agentId],
  );
}

/** Widens the scope of an agent's active keys and moves them to the agent's current account (docs/dialects/v0.1.md). */
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

/** Lists a page of an agent's keys, newest first, ended ones included; `place` as in listPersonalPage. */
export function listKeysPage(
  db: Pick<Db, 'all'>,
  agentId: string,
  place: { side: ListSide; id: string } | undefined,
  limit: number,
): Promise<CredentialRow[]> {
  const { condition, orderBy } = rowsBeside(NEWEST_KEYS, place && { side: place.side, values: [place.id] });
  return db.all(
    `SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.agent_id = ? AND c.kind = 'key' ${condition.sql} ${orderBy} LIMIT ?`,
    [agentId, ...condition.params, limit],
  );
}

/** Lists, for a page of agents, their active keys and tokens. */
export function listLiveCredentialsOfAgents(
  db: Pick<Db, 'all'>,
  agentIds: readonly string[],
  now: number,
): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.agent_id IN (${PAGE_MARKS})
       AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?)`,
    [...pageIds(agentIds), now],
  );
}

/** Lists, for a page of agents, the keys and tokens that were active when their agent was revoked, and ended with it. */
export function listCredentialsEndedWithAgents(
  db: Pick<Db, 'all'>,
  agentIds: readonly string[],
): Promise<CredentialRow[]> {
  return db.all(
    `SELECT ${CREDENTIAL_COLUMNS} FROM agents a JOIN credentials c ON c.agent_id = a.id WHERE a.id IN (${PAGE_MARKS})
       AND c.revoked_at = a.revoked_at AND (c.expires_at IS NULL OR c.expires_at > a.revoked_at)`,
    pageIds(agentIds),
  );
}

/** Finds which agents of a page have or had a key. */
export async function listAgentsWithKeys(
  db: Pick<Db, 'all'>,
  agentIds: readonly string[],
): Promise<Set<string>> {
  const rows = await db.all<{ agentId: string }>(
    `SELECT DISTINCT agent_id AS "agentId" FROM credentials WHERE agent_id IN (${PAGE_MARKS}) AND kind = 'key'`,
    pageIds(agentIds),
  );
  return new Set(rows.map(({ agentId }) => agentId));
}

/** Finds the names and public starts of the keys of a page, by id. */
export async function listCredentialLabels(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, Pick<CredentialRow, 'name' | 'prefix'>>> {
  const rows = await db.all<Pick<CredentialRow, 'id' | 'name' | 'prefix'>>(
    `SELECT id, name, prefix FROM credentials WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map((row) => [row.id, row]));
}

export function findCredential(db: Pick<Tx, 'get'>, id: string): Promise<CredentialRow | undefined> {
  return db.get(`SELECT ${CREDENTIAL_COLUMNS} FROM credentials c WHERE c.id = ?`, [id]);
}

/** Revokes a credential; of concurrent calls, one returns 1 and the others 0. */
export function updateCredentialRevoked(tx: Tx, hash: Buffer, now: number): Promise<number> {
  return tx.run('UPDATE credentials SET revoked_at = ? WHERE hash = ? AND revoked_at IS NULL', [now, hash]);
}

export function updateCredentialsOfAgentRevoked(tx: Tx, agentId: string, now: number): Promise<number> {
  return tx.run('UPDATE credentials SET revoked_at = ? WHERE agent_id = ? AND revoked_at IS NULL', [
    now,
    agentId,
  ]);
}

/** Narrows an active credential: sets its scope, account and expiry. */
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

/** Records when and where a credential was used, unless a later use is recorded. */
export function updateCredentialUsed(tx: Tx, hash: Buffer, at: number, from: string): Promise<number> {
  return tx.run(
    `UPDATE credentials SET last_used_at = ?, last_used_from = ?
     WHERE hash = ? AND (last_used_at IS NULL OR last_used_at < ?)`,
    [at, from, hash, at],
  );
}

/** Lists of keys are sorted by when they were created. */
export const NEWEST_KEYS: ListOrder = { keys: ['c.id'], isDescending: true };
/** Of a human's own keys: literally the condition of the index `credentials_personal`. */
export const PERSONAL = `c.agent_id IS NULL AND c.kind = 'key' AND c.client_id IS NULL`;
const BEARER_COLUMNS = `c.id, c.kind, c.agent_id AS "agentId", c.account_id AS "accountId", c.client_id AS "clientId",
  c.oauth_grant AS "oauthGrant", c.key_thumbprint AS "keyThumbprint", c.scope, c.resources,
  c.created_at AS "createdAt", c.expires_at AS "expiresAt", c.revoked_at AS "revokedAt",
  c.retires_others AS "retiresOthers", c.superseded_by AS "supersededBy", c.placed, c.grants, c.narrowed,
  c.action_hash AS "actionHash"`;
/** The columns of CredentialRow, of a table `credentials c`. */
export const CREDENTIAL_COLUMNS = `${BEARER_COLUMNS}, c.hash, c.name, c.prefix, c.last_four AS "lastFour", c.last_used_at AS "lastUsedAt",
  c.last_used_from AS "lastUsedFrom"`;
