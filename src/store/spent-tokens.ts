import { DAY_MS } from '../lib/time.ts';
import type { Tx } from './engine/db.ts';

/**
 * Records the use of a token by its `jti`, once over all replicas (S-94). A token that was issued before a restore
 * counts as used: it may have been used after the backup was made.
 *
 * @param times epoch ms; `endsAt`: from when on the token cannot be presented again
 * @returns whether this was the first use
 */
export async function insertUsedToken(
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

/** Marks all tokens that were issued before `now` as used. The mark ends after a day: then all of them have expired. */
export async function upsertUsedTokensMark(tx: Tx, now: number): Promise<void> {
  await tx.run(
    `INSERT INTO spent_tokens (issuer, jti, ends_at) VALUES ('', 'restored', ?)
     ON CONFLICT (issuer, jti) DO UPDATE SET ends_at = excluded.ends_at`,
    [now + DAY_MS],
  );
}
