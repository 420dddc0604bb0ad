import type { Deps } from '../../deps.ts';
import { endAccount, lockAccount } from '../../store/accounts.ts';
import { listOwnedAgents } from '../../store/agents.ts';
import { deleteAuthenticator, deleteRecoveryCodes } from '../../store/authenticators.ts';
import { revokePersonalCredentials } from '../../store/credentials.ts';
import { listHostsOf } from '../../store/hosts.ts';
import { unlinkPrincipalsOf } from '../../store/principals.ts';
import { endSessions } from '../../store/sessions.ts';
import { endAgent } from '../agents/end-agent.ts';
import type { RequestOrigin } from '../audit/audit-log.ts';
import { recordAndNotify } from '../audit/notifications.ts';
import { endHost } from '../hosts/hosts.ts';

/** The end of a human's account. */

/**
 * Deletes a human's account: its agents, merged and linked, its keys and its sessions end with it, and its mailbox is
 * forgotten. The audit keeps its ids as long as it keeps everything. The same mailbox may begin anew.
 */
export async function deleteAccount(deps: Deps, origin: RequestOrigin, accountId: string): Promise<void> {
  await deps.db.tx(async (tx) => {
    const now = deps.clock();
    if (!(await lockAccount(tx, accountId))) return;
    await recordAndNotify(tx, deps, origin, now, accountId, { kind: 'account.deleted' });
    for (const agent of await listOwnedAgents(tx, accountId)) {
      await endAgent(tx, deps, origin, now, agent);
      if (agent.accountId !== accountId) await endAccount(tx, agent.accountId, now);
    }
    for (const host of await listHostsOf(tx, accountId)) await endHost(tx, deps, origin, now, host);
    await unlinkPrincipalsOf(tx, accountId);
    await revokePersonalCredentials(tx, accountId, now);
    await deleteAuthenticator(tx, accountId);
    await deleteRecoveryCodes(tx, accountId);
    await endSessions(tx, accountId, now);
    await endAccount(tx, accountId, now);
  });
}
