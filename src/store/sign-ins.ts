import type { Tx } from './engine/db.ts';

/** A sign-in by a mailed code or link, and by a second factor where the account has one. */
export interface SignInRow {
  id: string;
  mailbox: string;
  origin: string;
  secretId: string;
  counter: number;
  codeExpiresAt: number;
  tries: number;
  createdAt: number;
  endedAt: number | null;
  /** When the mailed code was verified, where the account also requires a second factor. */
  provenAt: number | null;
  /** What the mail carries: six digits, or a link. */
  proof: 'code' | 'link';
  /** The language of the page that asked for it; null: asked by a version that did not note it. */
  locale: string | null;
}

/** Inserts an open sign-in. */
export async function insertSignIn(
  tx: Tx,
  signIn: Omit<SignInRow, 'tries' | 'endedAt' | 'provenAt'>,
): Promise<void> {
  await tx.run(
    `INSERT INTO sign_ins (id, mailbox, origin, secret_id, counter, code_expires_at, created_at, proof, locale)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      signIn.id,
      signIn.mailbox,
      signIn.origin,
      signIn.secretId,
      signIn.counter,
      signIn.codeExpiresAt,
      signIn.createdAt,
      signIn.proof,
      signIn.locale,
    ],
  );
}

export function findSignIn(db: Pick<Tx, 'get'>, id: string): Promise<SignInRow | undefined> {
  return db.get(
    `SELECT id, mailbox, origin, secret_id AS "secretId", counter, code_expires_at AS "codeExpiresAt", tries,
            created_at AS "createdAt", ended_at AS "endedAt", proven_at AS "provenAt", proof, locale
     FROM sign_ins WHERE id = ?`,
    [id],
  );
}

/**
 * Moves a sign-in to its second factor, once. The second factor has its own tries and expiry (epoch ms), and the mailed
 * code no longer works.
 *
 * @returns whether this call did
 */
export async function updateSignInProven(
  tx: Tx,
  signIn: { id: string; counter: number },
  expiresAt: number,
  now: number,
): Promise<boolean> {
  const proven = await tx.run(
    `UPDATE sign_ins SET proven_at = ?, counter = counter + 1, tries = 0, code_expires_at = ?
     WHERE id = ? AND counter = ? AND proven_at IS NULL AND ended_at IS NULL`,
    [now, expiresAt, signIn.id, signIn.counter],
  );
  return proven === 1;
}

/** Ends a sign-in; returns whether this call did. */
export async function updateSignInEnded(tx: Tx, id: string, now: number): Promise<boolean> {
  return (
    (await tx.run('UPDATE sign_ins SET ended_at = ? WHERE id = ? AND ended_at IS NULL', [now, id])) === 1
  );
}
