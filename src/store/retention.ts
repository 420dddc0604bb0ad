import type { Tx } from './engine/db.ts';
import type { RegistrationKind } from './registrations.ts';

/** Removes at most `limit` of what ended before a moment; returns how many. */
type Removal = (tx: Tx, before: number, limit: number) => Promise<number>;

/**
 * @param ended when a row has: a condition with one `?` for the moment
 * @param order what the condition compares, by which there is an index: in any other order all that has not ended is gone through
 */
function removal(table: string, key: string, ended: string, order: string): Removal {
  const sql = `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${ended} ORDER BY ${order} LIMIT ?)`;
  return (tx, before, limit) => tx.run(sql, [before, limit]);
}

export const deleteExpiredIdempotency = removal('idempotency', 'key_hash', 'expires_at <= ?', 'expires_at');
export const deleteEndedAttempts = removal('claim_attempts', 'id', 'ended_at <= ?', 'ended_at');
export const deleteExpiredTokens = removal(
  'credentials',
  'hash',
  `kind = 'token' AND expires_at <= ?`,
  'expires_at',
);
export const deleteExpiredRefreshTokens = removal('refresh_tokens', 'hash', 'expires_at <= ?', 'expires_at');
/** Users of providers who never had anybody to act for, or have nobody any more. */
export const deleteIdlePrincipals = removal(
  'principals',
  'principal',
  'account_id IS NULL AND created_at <= ?',
  'created_at',
);
export const deleteOldApprovals = removal('approvals', 'id', 'expires_at <= ?', 'expires_at');
export const deleteSpentTokens = removal('spent_tokens', 'issuer, jti', 'ends_at <= ?', 'ends_at');
/** Sessions begun so long ago that they have run out, whether they were ended or not. */
export const deleteOldSessions = removal('sessions', 'hash', 'created_at <= ?', 'created_at');
export const deleteEndedRefusals = removal(
  'mail_refusals',
  'mailbox, registration_id',
  'ends_at <= ?',
  'ends_at',
);

/** Runs of signing in that were begun before the moment of an id. */
export function deleteOldSignIns(tx: Tx, beforeId: string, limit: number): Promise<number> {
  return tx.run(
    'DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE id < ? ORDER BY id LIMIT ?)',
    [beforeId, limit],
  );
}

/** Mail that left or was given up, with the notes of what it told. */
export async function deleteOldMail(tx: Tx, before: number, limit: number): Promise<number> {
  const gone = await tx.all<{ id: string }>(
    `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox
       WHERE (sent_at IS NOT NULL OR dead_at IS NOT NULL) AND give_up_at <= ? ORDER BY give_up_at LIMIT ?)
     RETURNING id`,
    [before, limit],
  );
  await Promise.all(gone.map(({ id }) => tx.run('DELETE FROM notices WHERE mail_id = ?', [id])));
  return gone.length;
}

export function deleteEndedCounters(tx: Tx, before: number, limit: number): Promise<number> {
  // The window is looked at again in the outer statement: it may have begun anew since it was found.
  return tx.run(
    `DELETE FROM counters WHERE ends_at <= ? AND key IN
       (SELECT key FROM counters WHERE ends_at <= ? ORDER BY ends_at LIMIT ?)`,
    [before, before, limit],
  );
}

/**
 * Unclaimed registrations with all rows that refer to them: claim, attempts, keys, agent, account; of hosts also their agents, which
 * may be thousands.
 *
 * @returns how many rows went, an agent under a host being one: `limit` where there may be more
 */
export async function deleteExpiredRegistrations(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx.all<Expired>(
    `SELECT r.id, r.kind, a.id AS "agentId", a.account_id AS "accountId"
     FROM registrations r LEFT JOIN agents a ON a.id = r.agent_id
     WHERE r.claimed_at IS NULL AND r.expires_at <= ? ORDER BY r.expires_at LIMIT ?`,
    [before, limit],
  );
  const isHost = ({ kind }: Expired) => kind === 'host';
  // Asked at once and done in this order: on PostgreSQL the way there and back costs more than the rows.
  await Promise.all(rows.filter((row) => !isHost(row)).flatMap((row) => deleteRegistration(tx, row)));
  let gone = rows.length - rows.filter(isHost).length;
  for (const row of rows.filter(isHost)) {
    gone += await deleteHostedAgents(tx, row.id, limit - gone);
    if (gone >= limit) break;
    await deleteHosts(tx, row.id);
    await Promise.all(deleteRegistration(tx, row));
    gone += 1;
  }
  return gone;
}

interface Expired {
  id: string;
  kind: RegistrationKind;
  agentId: string | null;
  /** Of the agent. */
  accountId: string | null;
}

function deleteRegistration(tx: Tx, { id, agentId, accountId }: Expired): Promise<unknown>[] {
  return [
    tx.run('DELETE FROM claim_attempts WHERE registration_id = ?', [id]),
    tx.run('DELETE FROM claims WHERE registration_id = ?', [id]),
    tx.run('DELETE FROM refresh_tokens WHERE registration_id = ?', [id]),
    ...(agentId === null
      ? []
      : [
          tx.run('DELETE FROM credentials WHERE agent_id = ?', [agentId]),
          tx.run('DELETE FROM agents WHERE id = ?', [agentId]),
          tx.run('DELETE FROM accounts WHERE id = ?', [accountId]),
        ]),
    tx.run('DELETE FROM registrations WHERE id = ?', [id]),
  ];
}

/** Agents under hosts that were never let in, with what they asked. */
export async function deleteForgottenAgents(tx: Tx, before: number, limit: number): Promise<number> {
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
    await tx.run('DELETE FROM agents WHERE id = ?', [id]);
    await tx.run('DELETE FROM hosted_agents WHERE id = ?', [id]);
  }
  return rows.length;
}

/** The hosts of a registration, which have no agents any more, and the accounts that those worked in. */
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
