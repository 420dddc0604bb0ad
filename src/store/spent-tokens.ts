import { DAY_MS } from '../lib/time.ts';
import type { Tx } from './engine/db.ts';

/**
 * Takes a token once, whoever asks and wherever; says whether this was the first time (S-94). One that was issued before a backup was
 * restored counts as taken: it may have been, after the backup was made.
 *
 * @param times epoch ms
 */
export async function insertSpentToken(
  tx: Tx,
  issuer: string,
  jti: string,
  { issuedAt, endsAt }: { issuedAt: number; endsAt: number },
): Promise<boolean> {
  const changed = await tx.run(
    `INSERT INTO spent_tokens (issuer, jti, ends_at)
     SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT)
     WHERE NOT EXISTS (SELECT 1 FROM spent_tokens WHERE issuer = '' AND jti = 'restored' AND ends_at > ?)
     ON CONFLICT (issuer, jti) DO NOTHING`,
    [issuer, jti, endsAt, issuedAt + DAY_MS],
  );
  return changed === 1;
}

/** Counts all tokens that were issued before now as taken; a day later none of them is valid any more. */
export async function upsertSpentMark(tx: Tx, now: number): Promise<void> {
  await tx.run(
    `INSERT INTO spent_tokens (issuer, jti, ends_at) VALUES ('', 'restored', ?)
     ON CONFLICT (issuer, jti) DO UPDATE SET ends_at = excluded.ends_at`,
    [now + DAY_MS],
  );
}
