import { formatScope, isSubset, parseScope } from '../../lib/scopes.ts';
import {
  type CredentialRow,
  listCredentials,
  updateCredentialRevoked,
  updateCredentialScope,
} from '../../store/credentials.ts';
import type { Work } from '../../work.ts';
import { isKey } from './api-keys.ts';
import { isLive } from './issue.ts';

/**
 * Restricts the live keys and tokens of an agent to some scopes, in the caller's transaction. One that keeps none is revoked.
 *
 * @param termsOf the account and the expiry that a key has from now on
 * @returns how many live keys the agent had, and how many it keeps; tokens do not count
 */
export async function narrowCredentials(
  work: Work,
  agentId: string,
  scopes: readonly string[],
  termsOf: (key: CredentialRow) => Pick<CredentialRow, 'accountId' | 'expiresAt'>,
): Promise<{ had: number; kept: number }> {
  const { tx, now } = work;
  let had = 0;
  let kept = 0;
  for (const key of await listCredentials(tx, agentId)) {
    if (!isLive(key, now)) continue;
    // Tokens are short-lived: the agent must keep a key, not a token.
    const counts = isKey(key) ? 1 : 0;
    had += counts;
    // What other people granted is not the owner's to narrow; they end it themselves.
    if (key.grants !== null) {
      const { accountId } = termsOf(key);
      await updateCredentialScope(tx, key.hash, { accountId, scope: key.scope, expiresAt: key.expiresAt });
      continue;
    }
    const remaining = parseScope(key.scope).filter((scope) => isSubset([scope], scopes));
    if (remaining.length === 0) {
      await updateCredentialRevoked(tx, key.hash, now);
    } else {
      await updateCredentialScope(tx, key.hash, { ...termsOf(key), scope: formatScope(remaining) });
      kept += counts;
    }
  }
  return { had, kept };
}
