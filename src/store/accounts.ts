import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** An account of a human, an agent's own, or that of an OAuth client that the operator registered. */
export interface AccountRow {
  id: string;
  kind: 'human' | 'agent' | 'client';
  /** Canonical; null for an agent's account, and after the account ended. */
  mailbox: string | null;
  /** The owner's account of a linked agent. */
  parentId: string | null;
  /** The language that its human chose; null: none. */
  locale: string | null;
  /** What its human wants to be called; null: nothing, or the account has ended. */
  name: string | null;
}

/** Inserts an agent's own account. @param parentId the owner's account; null: the agent has no owner */
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

/** Inserts the account of an OAuth client that the operator registered. */
export async function insertClientAccount(tx: Tx, id: string, now: number): Promise<void> {
  await tx.run(`INSERT INTO accounts (id, kind, created_at) VALUES (?, 'client', ?)`, [id, now]);
}

/** Inserts a human's account unless the mailbox has one; returns whether it did. Of concurrent calls, one does. */
export async function insertHumanAccount(tx: Tx, id: string, mailbox: string, now: number): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO accounts (id, kind, mailbox, created_at) VALUES (?, 'human', ?, ?) ON CONFLICT DO NOTHING`,
    [id, mailbox, now],
  );
  return inserted === 1;
}

/** Finds the account of a canonical mailbox. */
export function findAccountByMailbox(
  db: Pick<Tx, 'get'>,
  mailbox: string,
): Promise<Pick<AccountRow, 'id' | 'locale'> | undefined> {
  return db.get('SELECT id, locale FROM accounts WHERE mailbox = ?', [mailbox]);
}

/**
 * Locks the account of a canonical mailbox. Until the transaction ends, no other one ends the account, so nothing that
 * is added to it gets lost.
 *
 * @returns undefined where the mailbox has no account
 */
export function lockAccountByMailbox(tx: Tx, mailbox: string): Promise<{ id: string } | undefined> {
  return tx.get('UPDATE accounts SET kind = kind WHERE mailbox = ? AND ended_at IS NULL RETURNING id', [
    mailbox,
  ]);
}

/** Locks an account by its id, as lockAccountByMailbox() does; returns whether it exists and has not ended. */
export async function lockAccount(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run('UPDATE accounts SET kind = kind WHERE id = ? AND ended_at IS NULL', [id])) === 1;
}

/** Sets the language of an account; returns 0 where it has that language already, or has ended. */
export function updateAccountLocale(tx: Tx, id: string, locale: string | null): Promise<number> {
  return tx.run(
    `UPDATE accounts SET locale = ? WHERE id = ? AND ended_at IS NULL AND COALESCE(locale, '') <> ?`,
    [locale, id, locale ?? ''],
  );
}

/** Sets what the human of an account wants to be called; returns 0 where that is so already, or the account has ended. */
export function updateAccountName(tx: Tx, id: string, name: string | null): Promise<number> {
  return tx.run(
    `UPDATE accounts SET name = ? WHERE id = ? AND ended_at IS NULL AND COALESCE(name, '') <> ?`,
    [name, id, name ?? ''],
  );
}

/** Ends a human's account and removes its mailbox and name; of concurrent calls, one returns 1 and the others 0. */
export function updateAccountEnded(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE accounts SET ended_at = ?, mailbox = NULL, name = NULL WHERE id = ? AND ended_at IS NULL',
    [now, id],
  );
}

/** Restores an agent's own account to its state before the agent was merged or linked. */
export function updateAccountRestored(tx: Tx, id: string): Promise<number> {
  return tx.run(
    `UPDATE accounts SET parent_id = NULL, merged_into = NULL, ended_at = NULL WHERE id = ? AND kind = 'agent'`,
    [id],
  );
}

/**
 * Ends an agent's own account and records the account that it was merged into, once.
 *
 * @returns whether an API told a tree of its personal workspace; undefined if the account has ended already
 */
export async function updateAccountMerged(
  tx: Tx,
  id: string,
  targetId: string,
  now: number,
): Promise<{ hasTrees: boolean } | undefined> {
  const row = await tx.get<{ hasTrees: number }>(
    `UPDATE accounts SET merged_into = ?, ended_at = ? WHERE id = ? AND kind = 'agent' AND ended_at IS NULL
     RETURNING COALESCE((SELECT 1 FROM trees WHERE workspace_id = accounts.id LIMIT 1), 0) AS "hasTrees"`,
    [targetId, now, id],
  );
  return row && { hasTrees: row.hasTrees === 1 };
}

/** Links an agent's own account to the account of its owner, once. */
export function updateAccountLinked(tx: Tx, id: string, parentId: string): Promise<number> {
  return tx.run(
    `UPDATE accounts SET parent_id = ?
     WHERE id = ? AND kind = 'agent' AND parent_id IS NULL AND ended_at IS NULL`,
    [parentId, id],
  );
}

/** Finds the mailboxes of the accounts of a page, by id; null: an agent's account, or one that ended. */
export async function listMailboxes(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  const rows = await db.all<{ id: string; mailbox: string | null }>(
    `SELECT id, mailbox FROM accounts WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, mailbox }) => [id, mailbox]));
}

/** What others see a human by. */
export type NamedAccount = Pick<AccountRow, 'mailbox' | 'name'>;

/** Finds what the humans of a page are seen by, by the ids of their accounts. */
export async function listNamedAccounts(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, NamedAccount>> {
  const rows = await db.all<NamedAccount & { id: string }>(
    `SELECT id, mailbox, name FROM accounts WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, mailbox, name }) => [id, { mailbox, name }]));
}

export function findAccount(db: Pick<Tx, 'get'>, id: string): Promise<AccountRow | undefined> {
  return db.get(
    'SELECT id, kind, mailbox, parent_id AS "parentId", locale, name FROM accounts WHERE id = ?',
    [id],
  );
}

/** Finds when an account was created, epoch ms. */
export async function findAccountCreated(db: Pick<Tx, 'get'>, id: string): Promise<number | undefined> {
  const row = await db.get<{ createdAt: number }>(
    'SELECT created_at AS "createdAt" FROM accounts WHERE id = ?',
    [id],
  );
  return row?.createdAt;
}
