import type { Deps } from '../../deps.ts';
import { endAccount, holdAccount } from '../../store/accounts.ts';
import { listOwnedAgents } from '../../store/agents.ts';
import { deleteAuthenticator, deleteRecoveryCodes } from '../../store/authenticators.ts';
import { revokePersonalCredentials } from '../../store/credentials.ts';
import { listHostsOf } from '../../store/hosts.ts';
import { unlinkPrincipalsOf } from '../../store/principals.ts';
import { endSessions } from '../../store/sessions.ts';
import { endAgent } from '../agents/end-agent.ts';
import type { Asker } from '../audit/audit-log.ts';
import { recordAndTell } from '../audit/notifications.ts';
import { endHost } from '../hosts/hosts.ts';

/** The end of a human's account. */

/**
 * Deletes a human's account: its agents, merged and linked, its keys and its sessions end with it, and its mailbox is
 * forgotten. The audit keeps its ids as long as it keeps everything. The same mailbox may begin anew.
 */
export async function deleteAccount(deps: Deps, asker: Asker, accountId: string): Promise<void> {
  await deps.db.tx(async (tx) => {
    const now = deps.clock();
    if (!(await holdAccount(tx, accountId))) return;
    await recordAndTell(tx, deps, asker, now, accountId, { kind: 'account.deleted' });
    for (const agent of await listOwnedAgents(tx, accountId)) {
      await endAgent(tx, deps, asker, now, agent);
      if (agent.accountId !== accountId) await endAccount(tx, agent.accountId, now);
    }
    for (const host of await listHostsOf(tx, accountId)) await endHost(tx, deps, asker, now, host);
    await unlinkPrincipalsOf(tx, accountId);
    await revokePersonalCredentials(tx, accountId, now);
    await deleteAuthenticator(tx, accountId);
    await deleteRecoveryCodes(tx, accountId);
    await endSessions(tx, accountId, now);
    await endAccount(tx, accountId, now);
  });
}
