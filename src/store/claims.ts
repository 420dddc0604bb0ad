import type { Tx } from './engine/db.ts';

/** A claim: the right, held by its claim token, to have a registration claimed. */
export interface ClaimRow {
  tokenHash: Buffer;
  registrationId: string;
  expiresAt: number;
  /** Codes issued over the life of the claim. */
  codes: number;
  /** Guesses counted over the life of the claim. */
  guesses: number;
  claimedAt: number | null;
  endedAt: number | null;
  endReason: string | null;
  /** How the agent collected its credential, where it may request it again for a while; null: it may not. */
  collectedBy: 'grant' | null;
}

export async function insertClaim(
  tx: Tx,
  claim: { tokenHash: Buffer; registrationId: string; now: number; expiresAt: number },
): Promise<void> {
  await tx.run(
    'INSERT INTO claims (token_hash, registration_id, created_at, expires_at) VALUES (?, ?, ?, ?)',
    [claim.tokenHash, claim.registrationId, claim.now, claim.expiresAt],
  );
}

export function findClaimByTokenHash(db: Pick<Tx, 'get'>, tokenHash: Buffer): Promise<ClaimRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM claims WHERE token_hash = ?`, [tokenHash]);
}

export function findClaimByRegistration(
  db: Pick<Tx, 'get'>,
  registrationId: string,
): Promise<ClaimRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM claims WHERE registration_id = ?`, [registrationId]);
}

/**
 * Counts one code against the claim's own limit. The statement locks the claim's row, for which every other change of
 * the claim waits. So it comes before all other changes of the claim (order of locks:
 * docs/adr/0003-two-engines-one-sql.md).
 *
 * @returns false where the claim is not open or has had all its codes
 */
export async function incrementClaimCodes(
  tx: Tx,
  tokenHash: Buffer,
  codesMax: number,
  now: number,
): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE claims SET codes = codes + 1 WHERE token_hash = ? AND ${OPEN} AND codes < ?`,
    [tokenHash, now, codesMax],
  );
  return changed === 1;
}

/**
 * Counts a guess against the claim's own limit, before the code is compared (S-04). It locks the claim's row like
 * incrementClaimCodes().
 *
 * @returns false where the claim is not open or no guess is left
 */
export async function incrementClaimGuesses(
  tx: Tx,
  tokenHash: Buffer,
  guessesMax: number,
  now: number,
): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE claims SET guesses = guesses + 1 WHERE token_hash = ? AND ${OPEN} AND guesses < ?`,
    [tokenHash, now, guessesMax],
  );
  return changed === 1;
}

/** Marks an open claim as completed; of concurrent calls, one returns 1 and the others 0. */
export function updateClaimCompleted(
  tx: Tx,
  tokenHash: Buffer,
  collectedBy: ClaimRow['collectedBy'],
  now: number,
): Promise<number> {
  return tx.run(`UPDATE claims SET claimed_at = ?, collected_by = ? WHERE token_hash = ? AND ${OPEN}`, [
    now,
    collectedBy,
    tokenHash,
    now,
  ]);
}

/** Replaces the claim of a registration: the old claim token and its codes stop working. */
export async function replaceClaim(
  tx: Tx,
  claim: { tokenHash: Buffer; registrationId: string; now: number; expiresAt: number },
): Promise<void> {
  await tx.run('DELETE FROM claims WHERE registration_id = ?', [claim.registrationId]);
  await insertClaim(tx, claim);
}

/** Ends the claim of a registration, unless it was completed or has ended. */
export function updateClaimEnded(
  tx: Tx,
  registrationId: string,
  reason: string,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE claims SET ended_at = ?, end_reason = ?
     WHERE registration_id = ? AND claimed_at IS NULL AND ended_at IS NULL`,
    [now, reason, registrationId],
  );
}

/** Reverts the completion of a claim and ends it: the agent was released, and the claim token no longer works. */
export function updateClaimUncompleted(tx: Tx, registrationId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE claims SET claimed_at = NULL, ended_at = ?, end_reason = 'released' WHERE registration_id = ?`,
    [now, registrationId],
  );
}

const OPEN = 'claimed_at IS NULL AND ended_at IS NULL AND expires_at > ?';
const COLUMNS = `token_hash AS "tokenHash", registration_id AS "registrationId", expires_at AS "expiresAt",
  codes, guesses, claimed_at AS "claimedAt", ended_at AS "endedAt", end_reason AS "endReason",
  collected_by AS "collectedBy"`;
