import type { Db, Tx } from './engine/db.ts';
import { PAGE_MARKS, pageIds } from './pages.ts';

/** A client of the OAuth authorization server (RFC 6749 section 2). */
export interface OAuthClientRow {
  /** `client_id`; of a client metadata document its URL. */
  id: string;
  /** Who registered it: itself (RFC 7591), its metadata document, a human, or the operator. */
  origin: 'dynamic' | 'document' | 'person' | 'operator';
  /** The account of the human who registered it. */
  owner: string | null;
  name: string | null;
  /** JSON (RFC 7591 section 2), without the secret. */
  metadata: string;
  secretHash: Buffer | null;
  /** The secret before the current one, which works until `previousEndsAt`, epoch ms; null: none. */
  previousSecretHash: Buffer | null;
  previousEndsAt: number | null;
  /** The account as which it acts by itself: its owner's, or of the operator's client its own; null: it cannot. */
  accountId: string | null;
  /** The most it may ask for, space-separated; null: no bound. */
  scope: string | null;
  createdAt: number;
  /** When it last got a consent, a code, or a token for itself; null: never. */
  usedAt: number | null;
  /** When the operator suspended it; null: it may act. */
  suspendedAt: number | null;
  endedAt: number | null;
  /** When the document of a client has to be fetched again; null: it has none. */
  freshUntil: number | null;
}

/** Inserts a client; returns 0 if there is one with this id. */
export function insertOAuthClient(
  tx: Tx,
  client: Pick<
    OAuthClientRow,
    'id' | 'origin' | 'owner' | 'name' | 'metadata' | 'secretHash' | 'accountId' | 'scope' | 'createdAt'
  >,
): Promise<number> {
  return tx.run(
    `INSERT INTO oauth_clients (id, origin, owner, name, metadata, secret_hash, account_id, scope, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO NOTHING`,
    [
      client.id,
      client.origin,
      client.owner,
      client.name,
      client.metadata,
      client.secretHash,
      client.accountId,
      client.scope,
      client.createdAt,
    ],
  );
}

/** Replaces what a client says of itself. @returns 0 if it has ended or is suspended */
export function updateOAuthClientSaid(
  tx: Tx,
  { id, name, metadata, secretHash }: Pick<OAuthClientRow, 'id' | 'name' | 'metadata' | 'secretHash'>,
): Promise<number> {
  return tx.run(
    `UPDATE oauth_clients SET name = ?, metadata = ?, secret_hash = ?
     WHERE id = ? AND ended_at IS NULL AND suspended_at IS NULL`,
    [name, metadata, secretHash, id],
  );
}

/** Locks a client and returns it: until the transaction ends nobody changes it. */
export function lockOAuthClient(tx: Tx, id: string): Promise<OAuthClientRow | undefined> {
  return tx.get(`UPDATE oauth_clients SET created_at = created_at WHERE id = ? RETURNING ${CLIENT_COLUMNS}`, [
    id,
  ]);
}

export function findOAuthClient(db: Pick<Tx, 'get'>, id: string): Promise<OAuthClientRow | undefined> {
  return db.get(`SELECT ${CLIENT_COLUMNS} FROM oauth_clients WHERE id = ?`, [id]);
}

/** Records when a client was used; of one that has ended or is suspended nothing. Until the transaction ends nobody ends it. */
export function updateOAuthClientUsed(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE oauth_clients SET used_at = ? WHERE id = ? AND ended_at IS NULL AND suspended_at IS NULL',
    [now, id],
  );
}

export function updateOAuthClientFresh(tx: Tx, id: string, until: number): Promise<number> {
  return tx.run('UPDATE oauth_clients SET fresh_until = ? WHERE id = ?', [until, id]);
}

/** Ends a client, whose consents are to be ended; of concurrent calls, one returns 1. */
export function updateOAuthClientEnded(tx: Tx, id: string, now: number): Promise<number> {
  return tx.run(
    'UPDATE oauth_clients SET ended_at = ?, consents_ending = 1 WHERE id = ? AND ended_at IS NULL',
    [now, id],
  );
}

/** Lists clients that ended or were suspended, and whose consents are to be ended. */
export function listOAuthClientsWithConsentsToEnd(
  db: Pick<Db, 'all'>,
  limit: number,
): Promise<Pick<OAuthClientRow, 'id' | 'origin' | 'endedAt'>[]> {
  return db.all(
    `SELECT id, origin, ended_at AS "endedAt" FROM oauth_clients WHERE consents_ending = 1 ORDER BY id LIMIT ?`,
    [limit],
  );
}

/** Records that no consents of a client are left to be ended. */
export function updateOAuthClientConsentsEnded(tx: Tx, id: string): Promise<number> {
  return tx.run('UPDATE oauth_clients SET consents_ending = NULL WHERE id = ? AND consents_ending = 1', [id]);
}

/** Finds the names of the clients of a page, by id. */
export async function listOAuthClientNames(
  db: Pick<Db, 'all'>,
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  const rows = await db.all<Pick<OAuthClientRow, 'id' | 'name'>>(
    `SELECT id, name FROM oauth_clients WHERE id IN (${PAGE_MARKS})`,
    pageIds(ids),
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/**
 * Replaces the secret of a client that has one.
 *
 * @param previousEndsAt until when the secret so far works, epoch ms; null: it ends now
 */
export function updateOAuthClientSecret(
  tx: Tx,
  id: string,
  secretHash: Buffer,
  previousEndsAt: number | null,
): Promise<number> {
  return tx.run(
    `UPDATE oauth_clients
     SET previous_secret_hash = CASE WHEN CAST(? AS BIGINT) IS NULL THEN NULL ELSE secret_hash END,
       previous_ends_at = ?, secret_hash = ? WHERE id = ? AND secret_hash IS NOT NULL AND ended_at IS NULL`,
    [previousEndsAt, previousEndsAt, secretHash, id],
  );
}

/** Replaces what was said of a client. @returns 0 if it has ended */
export function updateOAuthClientMetadata(
  tx: Tx,
  id: string,
  to: Pick<OAuthClientRow, 'name' | 'metadata' | 'scope'>,
): Promise<number> {
  return tx.run(
    'UPDATE oauth_clients SET name = ?, metadata = ?, scope = ? WHERE id = ? AND ended_at IS NULL',
    [to.name, to.metadata, to.scope, id],
  );
}

/** Suspends a client, whose consents are to be ended, or resumes it; of concurrent calls, one returns 1. @param suspendedAt null: it may act again */
export function updateOAuthClientSuspended(tx: Tx, id: string, suspendedAt: number | null): Promise<number> {
  return tx.run(
    `UPDATE oauth_clients SET suspended_at = ?${suspendedAt === null ? '' : ', consents_ending = 1'}
     WHERE id = ? AND ended_at IS NULL AND suspended_at IS ${suspendedAt === null ? 'NOT NULL' : 'NULL'}`,
    [suspendedAt, id],
  );
}

/** The columns of OAuthClientRow. */
export const CLIENT_COLUMNS = `id, origin, owner, name, metadata, secret_hash AS "secretHash",
       previous_secret_hash AS "previousSecretHash", previous_ends_at AS "previousEndsAt",
       account_id AS "accountId", scope, created_at AS "createdAt", used_at AS "usedAt", suspended_at AS "suspendedAt", ended_at AS "endedAt",
       fresh_until AS "freshUntil"`;
