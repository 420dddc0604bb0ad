import type { Tx } from './engine/db.ts';

/** What the OAuth authorization server remembers: codes, refresh tokens, interactions, sessions and others, by model. */
export interface OAuthStateRow {
  model: string;
  /** SHA-256 of the secret or id by which it is presented. */
  idHash: Buffer;
  /** Sealed JSON. */
  payload: Buffer;
  grantId: string | null;
  accountId: string | null;
  /** SHA-256 of the second id of a session. */
  uidHash: Buffer | null;
  /** A MAC to find a device code by its user code. */
  codeMac: string | null;
  /** Sealed: the response for which a refresh token was exchanged, for a client that lost it. */
  answer: Buffer | null;
  expiresAt: number;
  consumedAt: number | null;
}

type NewOAuthState = Omit<OAuthStateRow, 'answer' | 'consumedAt'>;

/** Inserts a state; returns 0 if there is one with this model and id. */
export function insertOAuthState(tx: Tx, state: NewOAuthState): Promise<number> {
  return tx.run(`${INSERT} ON CONFLICT (model, id_hash) DO NOTHING`, paramsOf(state));
}

/** Inserts a state, or replaces what it holds. */
export async function upsertOAuthState(tx: Tx, state: NewOAuthState): Promise<void> {
  await tx.run(
    `${INSERT} ON CONFLICT (model, id_hash) DO UPDATE SET payload = excluded.payload, grant_id = excluded.grant_id,
       account_id = excluded.account_id, uid_hash = excluded.uid_hash, expires_at = excluded.expires_at`,
    paramsOf(state),
  );
}

export function findOAuthState(
  db: Pick<Tx, 'get'>,
  model: string,
  idHash: Buffer,
): Promise<OAuthStateRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM oauth_states WHERE model = ? AND id_hash = ?`, [model, idHash]);
}

export function findOAuthStateByUid(
  db: Pick<Tx, 'get'>,
  model: string,
  uidHash: Buffer,
): Promise<OAuthStateRow | undefined> {
  return db.get(`SELECT ${COLUMNS} FROM oauth_states WHERE uid_hash = ? AND model = ?`, [uidHash, model]);
}

/** Marks a state as used; of concurrent calls, one returns 1 and the others 0. */
export function updateOAuthStateConsumed(
  tx: Tx,
  model: string,
  idHash: Buffer,
  answer: Buffer | null,
  now: number,
): Promise<number> {
  return tx.run(
    `UPDATE oauth_states SET consumed_at = ?, answer = ?
     WHERE model = ? AND id_hash = ? AND consumed_at IS NULL AND expires_at > ?`,
    [now, answer, model, idHash, now],
  );
}

export function deleteOAuthState(tx: Tx, model: string, idHash: Buffer): Promise<number> {
  return tx.run('DELETE FROM oauth_states WHERE model = ? AND id_hash = ?', [model, idHash]);
}

/** Deletes the codes and refresh tokens of a grant. */
export function deleteOAuthStatesOfGrant(tx: Tx, grantId: string): Promise<number> {
  return tx.run('DELETE FROM oauth_states WHERE grant_id = ? AND grant_id IS NOT NULL', [grantId]);
}

/** Deletes the sessions of an account. */
export function deleteOAuthSessions(tx: Tx, accountId: string): Promise<number> {
  return tx.run("DELETE FROM oauth_states WHERE account_id = ? AND model = 'Session'", [accountId]);
}

const INSERT = `INSERT INTO oauth_states (model, id_hash, payload, grant_id, account_id, uid_hash, code_mac, expires_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;

function paramsOf(state: NewOAuthState) {
  const { model, idHash, payload, grantId, accountId, uidHash, codeMac, expiresAt } = state;
  return [model, idHash, payload, grantId, accountId, uidHash, codeMac, expiresAt];
}

const COLUMNS = `model, id_hash AS "idHash", payload, grant_id AS "grantId", account_id AS "accountId",
  uid_hash AS "uidHash", code_mac AS "codeMac", answer, expires_at AS "expiresAt", consumed_at AS "consumedAt"`;
