import { createDeletion } from './deletions.ts';
import type { Tx } from './engine/db.ts';
import { deletePermissionsOfAgent } from './permission-retention.ts';
import type { RegistrationKind } from './registrations.ts';

export const deleteExpiredIdempotency = createDeletion(
  'idempotency',
  'key_hash',
  'expires_at <= ?',
  'expires_at',
);
export const deleteEndedAttempts = createDeletion('claim_attempts', 'id', 'ended_at <= ?', 'ended_at');

/** Deletes expired access tokens; keys stay. */
export const deleteExpiredTokens = createDeletion(
  'credentials',
  'hash',
  `kind = 'token' AND expires_at <= ?`,
  'expires_at',
);
export const deleteExpiredRefreshTokens = createDeletion(
  'refresh_tokens',
  'hash',
  'expires_at <= ?',
  'expires_at',
);

/** Deletes nodes that ended, but those that the list of a key, agent or app names. */
export const deleteEndedNodes = createDeletion(
  'nodes',
  'id',
  `ended_at IS NOT NULL AND ended_at <= ? AND NOT EXISTS (SELECT 1 FROM places p
     WHERE p.workspace_id = nodes.workspace_id AND p.ended_at IS NOT NULL AND p.node_id = nodes.id)`,
  'ended_at',
);

/** Deletes principals that may act for no account: the delegation was never granted, or has ended. */
export const deleteIdlePrincipals = createDeletion(
  'principals',
  'principal',
  'account_id IS NULL AND created_at <= ?',
  'created_at',
);

/** Deletes connection requests that have expired, decided or not. */
export const deleteOldApprovals = createDeletion('approvals', 'id', 'expires_at <= ?', 'expires_at');

/** Deletes requests to link users of providers that have expired, decided or not. */
export const deleteExpiredLinkRequests = createDeletion(
  'link_requests',
  'id',
  'expires_at <= ?',
  'expires_at',
);

/** Deletes the records of used tokens that can no longer be presented. */
export const deleteUsedTokens = createDeletion('spent_tokens', 'issuer, jti', 'ends_at <= ?', 'ends_at');

/** Deletes sessions by the time of their start: a session that old has expired, whether it was ended or not. */
export const deleteOldSessions = createDeletion('sessions', 'hash', 'created_at <= ?', 'created_at');

/** Deletes codes, refresh tokens, interactions and others of the OAuth authorization server. */
export const deleteExpiredOAuthStates = createDeletion(
  'oauth_states',
  'model, id_hash',
  'expires_at <= ?',
  'expires_at',
);

/** OAuth clients that nobody here registered and that were never used: the condition of the index `oauth_clients_unused`. */
const UNUSED_CLIENTS = `used_at IS NULL AND origin IN ('dynamic', 'document')`;
/** Those that were used: the condition of the index `oauth_clients_used`. */
const USED_CLIENTS = `used_at IS NOT NULL AND origin IN ('dynamic', 'document')`;

/**
 * Clients that may be deleted. What the operator decided about a client stays: its document would bring it back. So does
 * a client to which a human consented.
 */
const DISPOSABLE = `suspended_at IS NULL AND (ended_at IS NULL OR origin = 'dynamic')
  AND NOT EXISTS (SELECT 1 FROM oauth_grants WHERE client_id = oauth_clients.id)`;

/**
 * Deletes OAuth clients that never got a code: those that registered themselves before `before`, and those whose document
 * has not been fresh since.
 */
export function deleteUnusedOAuthClients(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM oauth_clients WHERE id IN (SELECT id FROM oauth_clients WHERE ${UNUSED_CLIENTS}
       AND ${DISPOSABLE} AND created_at <= ? AND (origin = 'dynamic' OR fresh_until <= ?)
       ORDER BY created_at LIMIT ?)`,
    [before, before, limit],
  );
}

/** Deletes the oldest OAuth clients that nobody here registered and that never got a code. @param kept how many stay */
export function deleteExcessOAuthClients(tx: Tx, kept: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM oauth_clients WHERE id IN (SELECT id FROM oauth_clients WHERE ${UNUSED_CLIENTS}
       AND ${DISPOSABLE} ORDER BY created_at DESC LIMIT ? OFFSET ?)`,
    [limit, kept],
  );
}

/**
 * Deletes OAuth clients that nobody here registered and that were last used at or before `before`, with the consents to
 * them, which have all ended.
 */
export async function deleteIdleOAuthClients(
  tx: Tx,
  { before, now }: { before: number; now: number },
  limit: number,
): Promise<number> {
  const idle = await tx.all<{ id: string }>(
    `SELECT id FROM oauth_clients WHERE ${USED_CLIENTS} AND used_at <= ? AND suspended_at IS NULL
       AND (ended_at IS NULL OR origin = 'dynamic') AND NOT EXISTS (SELECT 1 FROM oauth_grants
         WHERE client_id = oauth_clients.id AND revoked_at IS NULL AND expires_at > ?)
     ORDER BY used_at LIMIT ?`,
    [before, now, limit],
  );
  for (const { id } of idle) {
    // Checked again: since they were read, somebody may have begun to use it.
    const isIdle = await tx.run(
      'UPDATE oauth_clients SET ended_at = COALESCE(ended_at, ?) WHERE id = ? AND used_at <= ?',
      [now, id, before],
    );
    if (isIdle === 0) continue;
    const grants = await tx.run(
      'DELETE FROM oauth_grants WHERE id IN (SELECT id FROM oauth_grants WHERE client_id = ? LIMIT ?)',
      [id, limit],
    );
    if (grants === limit) return limit; // the rest, and the client, in the next batch
    await tx.run('DELETE FROM oauth_clients WHERE id = ?', [id]);
  }
  return idle.length;
}

/** Deletes mail suppressions that have expired. */
export const deleteEndedRefusals = createDeletion(
  'mail_refusals',
  'mailbox, registration_id',
  'ends_at <= ?',
  'ends_at',
);

/** Deletes sign-ins with an id below `beforeId`; ids sort by the time at which the sign-in started. */
export function deleteOldSignIns(tx: Tx, beforeId: string, limit: number): Promise<number> {
  return tx.run(
    'DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE id < ? ORDER BY id LIMIT ?)',
    [beforeId, limit],
  );
}

/** Deletes mails that were sent or dead-lettered, with the lists of events in their notices. */
export async function deleteOldMail(tx: Tx, before: number, limit: number): Promise<number> {
  const deleted = await tx.all<{ id: string }>(
    `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox
       WHERE (sent_at IS NOT NULL OR dead_at IS NOT NULL) AND give_up_at <= ? ORDER BY give_up_at LIMIT ?)
     RETURNING id`,
    [before, limit],
  );
  await Promise.all(deleted.map(({ id }) => tx.run('DELETE FROM notices WHERE mail_id = ?', [id])));
  return deleted.length;
}

/** Deletes counters whose window has ended. */
export function deleteEndedCounters(tx: Tx, before: number, limit: number): Promise<number> {
  // The outer statement checks the window again: a new one may have started since the subselect read it.
  return tx.run(
    `DELETE FROM counters WHERE ends_at <= ? AND key IN
       (SELECT key FROM counters WHERE ends_at <= ? ORDER BY ends_at LIMIT ?)`,
    [before, before, limit],
  );
}

/**
 * Deletes expired unclaimed registrations with all rows that refer to them: claim, attempts, credentials, agent and
 * account. Of hosts it also deletes the agents, of which there may be thousands.
 *
 * @returns the number of registrations and of agents under hosts that it deleted; `limit` where more may be left
 */
export async function deleteExpiredRegistrations(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx.all<ExpiredRegistration>(
    `SELECT r.id, r.kind, a.id AS "agentId", a.account_id AS "accountId",
       COALESCE((SELECT 1 FROM trees WHERE workspace_id = a.account_id LIMIT 1), 0) AS "hasTrees"
     FROM registrations r LEFT JOIN agents a ON a.id = r.agent_id
     WHERE r.claimed_at IS NULL AND r.expires_at <= ? ORDER BY r.expires_at LIMIT ?`,
    [before, limit],
  );
  const isHost = ({ kind }: ExpiredRegistration) => kind === 'host';
  // All statements are sent at once and run in this order: on PostgreSQL the round trips cost more than the deletes.
  await Promise.all(rows.filter((row) => !isHost(row)).flatMap((row) => deleteRegistration(tx, row)));
  let deleted = rows.length - rows.filter(isHost).length;
  for (const row of rows.filter(isHost)) {
    deleted += await deleteHostedAgents(tx, row.id, limit - deleted);
    if (deleted >= limit) break;
    await deleteHosts(tx, row.id);
    await Promise.all(deleteRegistration(tx, row));
    deleted += 1;
  }
  return deleted;
}

interface ExpiredRegistration {
  id: string;
  kind: RegistrationKind;
  agentId: string | null;
  /** The account in which the agent works; null: there is no agent. */
  accountId: string | null;
  /** 1: an API told what is in its personal workspace. */
  hasTrees: number;
}

function deleteRegistration(
  tx: Tx,
  { id, agentId, accountId, hasTrees }: ExpiredRegistration,
): Promise<unknown>[] {
  return [
    ...(hasTrees
      ? [
          tx.run('DELETE FROM trees WHERE workspace_id = ?', [accountId]),
          tx.run('DELETE FROM nodes WHERE workspace_id = ? AND ended_at IS NULL', [accountId]),
        ]
      : []),
    tx.run('DELETE FROM claim_attempts WHERE registration_id = ?', [id]),
    tx.run('DELETE FROM claims WHERE registration_id = ?', [id]),
    tx.run('DELETE FROM refresh_tokens WHERE registration_id = ?', [id]),
    ...(agentId === null
      ? []
      : [
          tx.run('DELETE FROM credentials WHERE agent_id = ?', [agentId]),
          ...deletePermissionsOfAgent(tx, agentId),
          tx.run('DELETE FROM agents WHERE id = ?', [agentId]),
          tx.run('DELETE FROM accounts WHERE id = ?', [accountId]),
        ]),
    tx.run('DELETE FROM registrations WHERE id = ?', [id]),
  ];
}

/** Deletes agents under hosts that were never activated, with their capability grants and connection requests. */
export async function deleteNeverActivatedAgents(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx.all<{ id: string }>(
    'SELECT id FROM hosted_agents WHERE activated_at IS NULL AND created_at <= ? ORDER BY created_at LIMIT ?',
    [before, limit],
  );
  for (const { id } of rows) {
    await tx.run('DELETE FROM grants WHERE agent_id = ?', [id]);
    await tx.run('DELETE FROM approvals WHERE agent_id = ?', [id]);
    await tx.run(
      'DELETE FROM refused_capabilities WHERE host_id = (SELECT host_id FROM hosted_agents WHERE id = ?) AND agent_id = ?',
      [id, id],
    );
    await tx.run('DELETE FROM hosted_agents WHERE id = ? AND activated_at IS NULL', [id]);
  }
  return rows.length;
}

async function deleteHostedAgents(tx: Tx, registrationId: string, limit: number): Promise<number> {
  const rows = await tx.all<{ id: string }>(
    `SELECT id FROM hosted_agents WHERE host_id IN (SELECT id FROM hosts WHERE registration_id = ?)
     ORDER BY id LIMIT ?`,
    [registrationId, limit],
  );
  for (const { id } of rows) {
    await tx.run('DELETE FROM grants WHERE agent_id = ?', [id]);
    await tx.run('DELETE FROM approvals WHERE agent_id = ?', [id]);
    await tx.run(
      'DELETE FROM refused_capabilities WHERE host_id = (SELECT host_id FROM hosted_agents WHERE id = ?) AND agent_id = ?',
      [id, id],
    );
    await tx.run('DELETE FROM credentials WHERE agent_id = ?', [id]);
    await Promise.all(deletePermissionsOfAgent(tx, id));
    await tx.run('DELETE FROM agents WHERE id = ?', [id]);
    await tx.run('DELETE FROM hosted_agents WHERE id = ?', [id]);
  }
  return rows.length;
}

/** Deletes the hosts of a registration and the hosts' own accounts; the agents are deleted already. */
async function deleteHosts(tx: Tx, registrationId: string): Promise<void> {
  const hosts = await tx.all<{ id: string; accountId: string }>(
    'SELECT id, account_id AS "accountId" FROM hosts WHERE registration_id = ?',
    [registrationId],
  );
  for (const { id, accountId } of hosts) {
    await tx.run('DELETE FROM retired_host_keys WHERE host_id = ?', [id]);
    await tx.run('DELETE FROM refused_capabilities WHERE host_id = ?', [id]);
    await tx.run('DELETE FROM hosts WHERE id = ?', [id]);
    await tx.run('DELETE FROM accounts WHERE id = ?', [accountId]);
  }
}
