import type { Tx } from './engine/db.ts';

export interface ClaimRow {
  tokenHash: Buffer;
  registrationId: string;
  expiresAt: number;
  codes: number;
  guesses: number;
  claimedAt: number | null;
  endedAt: number | null;
  endReason: string | null;
  /** By what the agent collected what it gave, where it may ask again for a while. */
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
 * Takes one code from the claim's own budget, if the claim is open. Its row is the lock behind which everything that happens
 * to one claim waits for this row, so this comes first in every transaction that starts or completes one.
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

/** Counts a guess against the claim's whole life, before it is compared (S-04). */
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

/** Puts a new claim in the place of a registration's old one, whose token and codes are dead from now on. */
export async function replaceClaim(
  tx: Tx,
  claim: { tokenHash: Buffer; registrationId: string; now: number; expiresAt: number },
): Promise<void> {
  await tx.run('DELETE FROM claims WHERE registration_id = ?', [claim.registrationId]);
  await insertClaim(tx, claim);
}

/** Ends the claim of a registration, if it is still open. */
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

/** Takes back that a claim was completed: it is over, and its token of no use any more. */
export function updateClaimReleased(tx: Tx, registrationId: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE claims SET claimed_at = NULL, ended_at = ?, end_reason = 'released' WHERE registration_id = ?`,
    [now, registrationId],
  );
}

const OPEN = 'claimed_at IS NULL AND ended_at IS NULL AND expires_at > ?';
const COLUMNS = `token_hash AS "tokenHash", registration_id AS "registrationId", expires_at AS "expiresAt",
  codes, guesses, claimed_at AS "claimedAt", ended_at AS "endedAt", end_reason AS "endReason",
  collected_by AS "collectedBy"`;
