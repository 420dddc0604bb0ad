import {
  type PermissionDenial,
  type PermissionGrant,
  signByService,
  type TerminalLogin,
} from '../../lib/artifacts/permission-grant.ts';
import { formatSeconds } from '../../lib/artifacts/read-members.ts';
import type { Tx } from '../../store/engine/db.ts';
import type { PermissionRequestRow } from '../../store/permission-requests.ts';
import { updateSigningKeyKept } from '../../store/signing-keys.ts';
import type { Work } from '../../work.ts';
import { currentPrivateKey } from '../credentials/signing-keys.ts';

/** What the service signs in answer to a permission request. */

/** What a grant says beside what every answer does. */
type GrantContent = Pick<
  PermissionGrant,
  'id' | 'expires_at' | 'granted_by' | 'permissions' | 'withheld' | 'action' | 'once'
>;

/** Signs a grant. Its key stays published as long as the grant lives. */
export async function signAnswer(
  work: Work,
  row: PermissionRequestRow,
  content: GrantContent,
): Promise<PermissionGrant> {
  const key = await signingKey(work);
  await updateSigningKeyKept(work.tx, key.kid, Date.parse(content.expires_at));
  return signByService<PermissionGrant>(
    { kind: 'vouchsafe.auth.grant', ...headOf(work, row), ...content },
    key,
  );
}

/** Signs a denial, which gives no reason. */
export async function signRefusal(work: Work, row: PermissionRequestRow): Promise<PermissionDenial> {
  const denial = { kind: 'vouchsafe.auth.denial', ...headOf(work, row) } as const;
  return signByService<PermissionDenial>(denial, await signingKey(work));
}

/** Signs that a terminal acts for a human. It is pasted at once, so that its key need not stay published. */
export async function signLogin(
  work: Work,
  row: PermissionRequestRow,
  content: Pick<TerminalLogin, 'expires_at' | 'account' | 'bound'>,
): Promise<TerminalLogin> {
  const login = { kind: 'vouchsafe.auth.login', ...headOf(work, row), ...content } as const;
  return signByService<TerminalLogin>(login, await signingKey(work));
}

function headOf({ now, deps }: Work, row: PermissionRequestRow): Omit<PermissionDenial, 'kind' | 'proof'> {
  const { thumbprint, agentId, id } = row;
  return {
    version: 1,
    request_id: id,
    service: deps.config.publicUrl,
    issued_at: formatSeconds(now),
    audience: { thumbprint, ...(agentId !== null && { agent_id: agentId }) },
  };
}

/** Reads or creates the key in this transaction: SQLite has one writer, so a second one would wait for this one. */
function signingKey({ tx, deps }: Work): ReturnType<typeof currentPrivateKey> {
  const inTransaction = {
    ...deps.db,
    ...tx,
    tx: <Result>(work: (tx: Tx) => Promise<Result>) => work(tx),
  };
  return currentPrivateKey({ ...deps, db: inTransaction });
}
