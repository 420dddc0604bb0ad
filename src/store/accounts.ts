import type { Tx } from './engine/db.ts';

export interface AccountRow {
  id: string;
  kind: 'human' | 'agent';
  mailbox: string | null;
  parentId: string | null;
}

/** An agent's own account; `parentId` where a human already stands behind it. */
export async function insertAgentAccount(
  tx: Tx,
  id: string,
  parentId: string | null,
  now: number,
): Promise<void> {
  await tx.run(`INSERT INTO accounts (id, kind, parent_id, created_at) VALUES (?, 'agent', ?, ?)`, [
    id,
    parentId,
    now,
  ]);
}

/** Creates the human's account unless the mailbox has one; returns whether it did. Of two at once, one does. */
export async function insertHumanAccount(tx: Tx, id: string, mailbox: string, now: number): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO accounts (id, kind, mailbox, created_at) VALUES (?, 'human', ?, ?) ON CONFLICT DO NOTHING`,
    [id, mailbox, now],
  );
  return inserted === 1;
}

export function findAccountByMailbox(tx: Tx, mailbox: string): Promise<{ id: string } | undefined> {
  return tx.get('SELECT id FROM accounts WHERE mailbox = ?', [mailbox]);
}

/** The account of a mailbox, which until the transaction ends nobody deletes: whatever is put into it is not lost with it. */
export function lockAccountByMailbox(tx: Tx, mailbox: string): Promise<{ id: string } | undefined> {
  return tx.get('UPDATE accounts SET kind = kind WHERE mailbox = ? AND ended_at IS NULL RETURNING id', [
    mailbox,
  ]);
}

/** The same by its id; says whether it is there and not ended. */
export async function lockAccount(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run('UPDATE accounts SET kind = kind WHERE id = ? AND ended_at IS NULL', [id])) === 1;
}

/** Ends a human's account and forgets its mailbox, once; of two at once, one does. */
export function updateAccountEnded(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run('UPDATE accounts SET ended_at = ?, mailbox = NULL WHERE id = ? AND ended_at IS NULL', [
    now,
    id,
  ]);
}

/** Gives an agent's own account back to it: as if it had never been merged or linked. */
export function updateAccountReleased(tx: Tx, id: string): Promise<number> {
  return tx.run(
    `UPDATE accounts SET parent_id = NULL, merged_into = NULL, ended_at = NULL WHERE id = ? AND kind = 'agent'`,
    [id],
  );
}

/** Ends an agent's own account in favour of another, once. */
export function updateAccountMerged(tx: Tx, id: string, into: string, now: number): Promise<number> {
  return tx.run(
    `UPDATE accounts SET merged_into = ?, ended_at = ? WHERE id = ? AND kind = 'agent' AND ended_at IS NULL`,
    [into, now, id],
  );
}

/** Gives an agent's own account a parent, once. */
export function updateAccountLinked(tx: Tx, id: string, parentId: string): Promise<number> {
  return tx.run(
    `UPDATE accounts SET parent_id = ?
     WHERE id = ? AND kind = 'agent' AND parent_id IS NULL AND ended_at IS NULL`,
    [parentId, id],
  );
}

export function findAccount(db: Pick<Tx, 'get'>, id: string): Promise<AccountRow | undefined> {
  return db.get('SELECT id, kind, mailbox, parent_id AS "parentId" FROM accounts WHERE id = ?', [id]);
}
