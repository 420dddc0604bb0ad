import { createHmac } from 'node:crypto';
import type { Deps } from '../../deps.ts';
import { normalizeUserCode } from '../../lib/code-text.ts';
import { appendMac, verifyMac } from '../../lib/mac.ts';
import { PAGES } from '../../lib/page-paths.ts';
import type { Tx } from '../../store/engine/db.ts';
import {
  findPermissionRequestByCode,
  type PermissionRequestRow,
  updateRequestCode,
} from '../../store/permission-requests.ts';
import type { RequestOrigin } from '../../work.ts';
import { useCase } from '../limits/use-case.ts';

/** The codes and links by which a human finds a permission request. */

/** The same letters as in the codes of connection requests: none is mistaken for another. */
const CODE_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';

type KeyringDeps = Pick<Deps, 'keyring'>;
type Code = Pick<PermissionRequestRow, 'codeMac' | 'secretId' | 'codeNumber'>;

/**
 * Derives the code of a request, as `ABCD-EFGH`. It is stored nowhere: a copy of the database reveals none.
 *
 * @returns undefined if SECRET no longer lists the secret that it is derived from
 */
export function requestCode(
  { keyring }: KeyringDeps,
  { id, secretId, codeNumber }: Pick<PermissionRequestRow, 'id' | 'secretId' | 'codeNumber'>,
): string | undefined {
  const key = keyring.derive(secretId, 'permission-code', `${id} ${codeNumber}`);
  if (key === undefined) return undefined;
  const code = [...key.subarray(0, 8)].map((byte) => CODE_ALPHABET[byte & 31]).join('');
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/** Chooses a code for a request that no other open one has. */
export async function chooseRequestCode(
  deps: KeyringDeps,
  db: Pick<Tx, 'get'>,
  id: string,
  now: number,
): Promise<Code> {
  for (let codeNumber = 0; ; codeNumber += 1) {
    const code = { id, secretId: deps.keyring.currentId, codeNumber };
    const [codeMac] = codeMacs(deps, requestCode(deps, code)!);
    const taken = await findPermissionRequestByCode(db, codeMac!, now);
    if (taken === undefined || taken.id === id) return { ...code, codeMac: codeMac! };
  }
}

/** Gives an open request another code if the secret that its code is derived from is not listed any more. */
export async function renewCode(
  deps: Deps,
  origin: RequestOrigin,
  row: PermissionRequestRow,
): Promise<PermissionRequestRow> {
  if (row.decidedAt !== null || requestCode(deps, row) !== undefined) return row;
  return useCase(deps, origin, {}, async ({ tx, now }) => {
    const code = await chooseRequestCode(deps, tx, row.id, now);
    await updateRequestCode(tx, row.id, code);
    return { ...row, ...code };
  });
}

/** Finds the open request of a code, as the human typed it. */
export async function findRequestOfCode(
  deps: Pick<Deps, 'keyring' | 'db' | 'clock'>,
  code: string,
): Promise<PermissionRequestRow | undefined> {
  for (const mac of codeMacs(deps, code)) {
    const row = await findPermissionRequestByCode(deps.db, mac, deps.clock());
    if (row !== undefined) return row;
  }
  return undefined;
}

/** Computes the MACs by which requests are looked up: under each secret, the newest first. */
function codeMacs({ keyring }: KeyringDeps, code: string): string[] {
  const text = normalizeUserCode(code);
  return keyring
    .deriveAll('permission-code-mac')
    .map((key) => createHmac('sha256', key).update(text).digest('base64url'));
}

/** Creates the token of a link to a request, or of the cookie in which it is kept: a MAC, so that nobody can forge it. */
export function requestToken({ keyring }: KeyringDeps, id: string): string {
  return appendMac(keyring, 'permission-link', id);
}

/** Reads the id of a request from such a token. @returns undefined if the MAC is wrong */
export function readRequestToken({ keyring }: KeyringDeps, token: string): string | undefined {
  return verifyMac(keyring, 'permission-link', token);
}

/** Returns where a human decides: by a link, or for a terminal that wants to act for them by typing the code. */
export function requestLink(
  deps: Pick<Deps, 'keyring' | 'config'>,
  { id, login }: Pick<PermissionRequestRow, 'id' | 'login'>,
): string {
  const page = deps.config.publicUrl + PAGES.permissions;
  return login === 1 ? page : `${page}?t=${requestToken(deps, id)}`;
}
