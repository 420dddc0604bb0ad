import type { Db, Tx } from './engine/db.ts';

export interface SecretMark {
  id: string;
  sealed: Buffer;
  seenAt: number;
}

/** Says that a secret is in use, and forgets those that were not for long. */
export async function upsertSecretMark(tx: Tx, mark: SecretMark, forgottenAt: number): Promise<void> {
  await tx.run('DELETE FROM secret_marks WHERE seen_at < ?', [forgottenAt]);
  await tx.run(
    `INSERT INTO secret_marks (id, sealed, seen_at) VALUES (?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, seen_at = excluded.seen_at`,
    [mark.id, mark.sealed, mark.seenAt],
  );
}

/** Those in use after a time. */
export function listSecretMarks(db: Pick<Db, 'all'>, after: number): Promise<SecretMark[]> {
  return db.all('SELECT id, sealed, seen_at AS "seenAt" FROM secret_marks WHERE seen_at > ?', [after]);
}

/** A secret that is in use no more, as far as its last user knows. */
export async function deleteSecretMark(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM secret_marks WHERE id = ?', [id]);
}
