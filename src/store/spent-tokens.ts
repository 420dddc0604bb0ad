import type { Tx } from './db.ts';

/** Takes a provider's token once, whoever asks and wherever; says whether this was the first time (S-94). */
export async function spendToken(tx: Tx, issuer: string, jti: string, endsAt: number): Promise<boolean> {
  const changed = await tx.run(
    'INSERT INTO spent_tokens (issuer, jti, ends_at) VALUES (?, ?, ?) ON CONFLICT (issuer, jti) DO NOTHING',
    [issuer, jti, endsAt],
  );
  return changed === 1;
}
