import type { Db, Tx } from './engine/db.ts';

/** An operator that the command line made; those of the configuration have no row. */
export interface OperatorRow {
  /** Canonical. */
  mailbox: string;
  createdAt: number;
}

/** Inserts an operator unless the mailbox is one; returns whether it did. */
export async function insertOperator(tx: Tx, mailbox: string, now: number): Promise<boolean> {
  const inserted = await tx.run(
    'INSERT INTO operators (mailbox, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING',
    [mailbox, now],
  );
  return inserted === 1;
}

export function deleteOperator(tx: Tx, mailbox: string): Promise<number> {
  return tx.run('DELETE FROM operators WHERE mailbox = ?', [mailbox]);
}

export function listOperators(db: Pick<Db, 'all'>): Promise<OperatorRow[]> {
  return db.all('SELECT mailbox, created_at AS "createdAt" FROM operators ORDER BY mailbox');
}
