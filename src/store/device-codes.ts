import type { Tx } from './engine/db.ts';
import type { OAuthStateRow } from './oauth-states.ts';

/** Device codes (RFC 8628): rows of `oauth_states` whose model is DeviceCode. One without account was not decided yet. */

/** Finds the newest undecided device code with a user code. @param after epoch ms: it expires later */
export function findDeviceCodeByMac(
  db: Pick<Tx, 'get'>,
  codeMac: string,
  after: number,
): Promise<Pick<OAuthStateRow, 'idHash'> | undefined> {
  return db.get(
    `SELECT id_hash AS "idHash" FROM oauth_states
     WHERE code_mac = ? AND code_mac IS NOT NULL AND model = 'DeviceCode' AND account_id IS NULL AND expires_at > ?
     ORDER BY expires_at DESC LIMIT 1`,
    [codeMac, after],
  );
}

/** Stores what a human decided about an undecided device code; of concurrent calls, one returns 1 and the others 0. */
export function updateDeviceCodeDecided(
  tx: Tx,
  row: Pick<OAuthStateRow, 'idHash' | 'payload' | 'grantId'> & { accountId: string },
  after: number,
): Promise<number> {
  return tx.run(
    `UPDATE oauth_states SET payload = ?, grant_id = ?, account_id = ?
     WHERE model = 'DeviceCode' AND id_hash = ? AND account_id IS NULL AND expires_at > ?`,
    [row.payload, row.grantId, row.accountId, row.idHash, after],
  );
}

/** Notes that a device asked, unless it asked after `before` (epoch ms): then it returns 0. */
export function updateDeviceCodePolled(tx: Tx, idHash: Buffer, now: number, before: number): Promise<number> {
  return tx.run(
    `UPDATE oauth_states SET polled_at = ?
     WHERE model = 'DeviceCode' AND id_hash = ? AND (polled_at IS NULL OR polled_at <= ?)`,
    [now, idHash, before],
  );
}
