import type { Tx } from './db.ts';

/** Each removes at most `limit` of what ended before a moment, and returns how many. */
export function deleteExpiredIdempotency(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM idempotency WHERE key_hash IN
       (SELECT key_hash FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    [before, limit],
  );
}

export function deleteEndedCounters(tx: Tx, before: number, limit: number): Promise<number> {
  // The window is looked at again in the outer statement: it may have begun anew since it was found.
  return tx.run(
    `DELETE FROM counters WHERE ends_at <= ? AND key IN
       (SELECT key FROM counters WHERE ends_at <= ? ORDER BY ends_at LIMIT ?)`,
    [before, before, limit],
  );
}

export function deleteOldMail(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM outbox WHERE id IN
       (SELECT id FROM outbox WHERE (sent_at IS NOT NULL OR dead_at IS NOT NULL) AND give_up_at <= ? ORDER BY id LIMIT ?)`,
    [before, limit],
  );
}

export function deleteEndedAttempts(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM claim_attempts WHERE id IN
       (SELECT id FROM claim_attempts WHERE ended_at <= ? ORDER BY id LIMIT ?)`,
    [before, limit],
  );
}

export function deleteOldSignIns(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    'DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE created_at <= ? ORDER BY id LIMIT ?)',
    [before, limit],
  );
}

/** Sessions begun so long ago that they have run out, whether they were ended or not. */
export function deleteOldSessions(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM sessions WHERE hash IN
       (SELECT hash FROM sessions WHERE created_at <= ? ORDER BY created_at LIMIT ?)`,
    [before, limit],
  );
}

export function deleteEndedRefusals(tx: Tx, before: number, limit: number): Promise<number> {
  return tx.run(
    `DELETE FROM mail_refusals WHERE (mailbox, registration_id) IN
       (SELECT mailbox, registration_id FROM mail_refusals WHERE ends_at <= ? LIMIT ?)`,
    [before, limit],
  );
}

/** Unclaimed registrations with all that hangs on them: claim, attempts, keys, agent, account. */
export async function deleteExpiredRegistrations(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx.all<{ id: string; agentId: string | null }>(
    `SELECT id, agent_id AS "agentId" FROM registrations
     WHERE claimed_at IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?`,
    [before, limit],
  );
  for (const { id, agentId } of rows) {
    await tx.run('DELETE FROM claim_attempts WHERE registration_id = ?', [id]);
    await tx.run('DELETE FROM claims WHERE registration_id = ?', [id]);
    if (agentId !== null) {
      await tx.run('DELETE FROM credentials WHERE agent_id = ?', [agentId]);
      const agent = await tx.get<{ accountId: string }>(
        'DELETE FROM agents WHERE id = ? RETURNING account_id AS "accountId"',
        [agentId],
      );
      if (agent) await tx.run('DELETE FROM accounts WHERE id = ?', [agent.accountId]);
    }
    await tx.run('DELETE FROM registrations WHERE id = ?', [id]);
  }
  return rows.length;
}
