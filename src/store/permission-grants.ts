import type { CredentialRow } from './credentials.ts';
import type { Tx } from './engine/db.ts';

/** What people granted to permission requests. What a grant allows now is in its places: it is their holder. */
export interface PermissionGrantRow {
  id: string;
  requestId: string;
  /** Of the key that asked: keys that follow it hold the grant, too. */
  family: string;
  generation: number;
  /** Who holds it: an agent, */
  agentId: string | null;
  /** or the terminal of a human. */
  accountId: string | null;
  grantedBy: string;
  /** The family of the terminal's key that granted it; null: it was granted on a page. */
  grantedWith: string | null;
  /** JSON, as we signed it. */
  artifact: string;
  /** 1: for one action. */
  once: number;
  /** SHA-256 of the action, base64url; null: it is for none in particular. */
  actionHash: string | null;
  spentAt: number | null;
  createdAt: number;
  expiresAt: number;
  revokedAt: number | null;
}

export async function insertPermissionGrant(
  tx: Tx,
  grant: Omit<PermissionGrantRow, 'spentAt' | 'revokedAt'>,
): Promise<void> {
  await tx.run(
    `INSERT INTO permission_grants (id, request_id, family, generation, agent_id, account_id, granted_by, granted_with, artifact,
       once, action_hash, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      grant.id,
      grant.requestId,
      grant.family,
      grant.generation,
      grant.agentId,
      grant.accountId,
      grant.grantedBy,
      grant.grantedWith,
      grant.artifact,
      grant.once,
      grant.actionHash,
      grant.createdAt,
      grant.expiresAt,
    ],
  );
}

export function findPermissionGrant(
  db: Pick<Tx, 'get'>,
  id: string,
): Promise<PermissionGrantRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM permission_grants WHERE id = ?`, [id]);
}

/** Locks a grant, so that of two transactions that end its places the later one sees what the earlier one ended. */
export function lockPermissionGrant(tx: Tx, id: string): Promise<PermissionGrantRow | undefined> {
  return tx.get(`UPDATE permission_grants SET once = once WHERE id = ? RETURNING ${COLUMNS}`, [id]);
}

/** Who holds grants: an agent, or a human's own terminals. */
export type GrantHolder = { agentId: string } | { accountId: string };

/** Lists the grants of a holder that work, oldest first. */
export function listLiveGrantsOf(
  db: Pick<Tx, 'all'>,
  holder: GrantHolder,
  now: number,
): Promise<PermissionGrantRow[]> {
  const [condition, id] = ofHolder(holder);
  return db.all(
    `SELECT ${COLUMNS} FROM permission_grants WHERE ${condition} AND revoked_at IS NULL AND expires_at > ? ORDER BY id`,
    [id, now],
  );
}

/** Lists the newest grants that an account gave and that work. */
export function listLiveGrantsBy(
  db: Pick<Tx, 'all'>,
  accountId: string,
  now: number,
): Promise<PermissionGrantRow[]> {
  return db.all(
    `SELECT ${COLUMNS} FROM permission_grants WHERE granted_by = ? AND revoked_at IS NULL AND expires_at > ?
     ORDER BY id DESC LIMIT 200`,
    [accountId, now],
  );
}

/** Lists all grants that an account gave. */
export function listGrantsBy(db: Pick<Tx, 'all'>, accountId: string): Promise<PermissionGrantRow[]> {
  return db.all(`SELECT ${COLUMNS} FROM permission_grants WHERE granted_by = ? ORDER BY id`, [accountId]);
}

/** Revokes a grant; of concurrent calls, one returns 1 and the others 0. */
export function updateGrantRevoked(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE permission_grants SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL AND expires_at > ?',
    [now, id, now],
  );
}

/** Spends a grant for one action; of concurrent calls, one returns 1 and the others 0. */
export function updateGrantSpent(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE permission_grants SET spent_at = ? WHERE id = ? AND once = 1 AND spent_at IS NULL AND revoked_at IS NULL
       AND expires_at > ?`,
    [now, id, now],
  );
}

/** Lists the tokens that were got under a grant. */
export async function listTokensOfPermissionGrant(
  db: Pick<Tx, 'all'>,
  { id, agentId, accountId }: Pick<PermissionGrantRow, 'id' | 'agentId' | 'accountId'>,
): Promise<Pick<CredentialRow, 'id' | 'hash' | 'resources' | 'placed' | 'oauthGrant' | 'grants'>[]> {
  return db.all(
    `SELECT id, hash, resources, placed, oauth_grant AS "oauthGrant", grants FROM credentials
     WHERE ${agentId === null ? 'account_id = ? AND agent_id IS NULL' : 'agent_id = ?'} AND grants IS NOT NULL AND grants LIKE ?`,
    [agentId ?? accountId, `%${id}%`],
  );
}

function ofHolder(holder: GrantHolder): [condition: string, id: string] {
  return 'agentId' in holder
    ? ['agent_id = ? AND agent_id IS NOT NULL', holder.agentId]
    : ['account_id = ? AND account_id IS NOT NULL', holder.accountId];
}

const COLUMNS = `id, request_id AS "requestId", family, generation, agent_id AS "agentId", account_id AS "accountId",
  granted_by AS "grantedBy", granted_with AS "grantedWith", artifact, once, action_hash AS "actionHash",
  spent_at AS "spentAt", created_at AS "createdAt", expires_at AS "expiresAt", revoked_at AS "revokedAt"`;
