import type { Db, Tx } from './engine/db.ts';

/** A service secret that a running service seals with. */
export interface SecretMark {
  /** Identifies the secret without revealing it. */
  id: string;
  /** A known text, sealed under the secret. */
  sealed: Buffer;
  /** When a service last recorded that it uses the secret, epoch ms. */
  seenAt: number;
}

/** Records that a secret is in use, and deletes marks that were last recorded before `forgottenAt` (epoch ms). */
export async function upsertSecretMark(tx: Tx, mark: SecretMark, forgottenAt: number): Promise<void> {
  await tx.run('DELETE FROM secret_marks WHERE seen_at < ?', [forgottenAt]);
  await tx.run(
    `INSERT INTO secret_marks (id, sealed, seen_at) VALUES (?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, seen_at = excluded.seen_at`,
    [mark.id, mark.sealed, mark.seenAt],
  );
}

/** Lists the secrets that a service used after a time (epoch ms). */
export function listSecretMarks(db: Pick<Db, 'all'>, after: number): Promise<SecretMark[]> {
  return db.all('SELECT id, sealed, seen_at AS "seenAt" FROM secret_marks WHERE seen_at > ?', [after]);
}

/** Deletes the mark of a secret: the calling service stops using it. Others that use it record it again. */
export async function deleteSecretMark(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM secret_marks WHERE id = ?', [id]);
}
